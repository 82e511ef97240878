//! Guests written by hand in WebAssembly text: a well-behaved one that finds nothing, of which a test
//! replaces one function by something hostile.

use std::collections::BTreeMap;

/// In the guest's memory: 256 zero bytes, which read as `ok([])`.
const NOTHING: u32 = 1024;
/// Free for a test's own data.
pub const FREE: u32 = 2048;

const SIGNATURES: [(&str, &str); 11] = [
    ("describe", "(result i32)"),
    ("configure", "(param i32 i32 i32 i32) (result i32)"),
    ("set-sensors", "(param i32 i32 i32) (result i32)"),
    ("remove-sensors", "(param i32 i32)"),
    ("observe", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("advance", "(param i64) (result i32)"),
    ("trace", "(param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("save", "(param i32 i32) (result i32)"),
    ("save-shared", "(result i32)"),
    ("begin-restore", "(param i32 i32 i32 i32 i32 i32 i32) (result i32)"),
    ("restore", "(param i32 i32 i32 i32 i32 i32) (result i32)"),
];

/// A guest under construction.
pub struct Wat {
    bodies: BTreeMap<String, String>,
    /// Further imports, and further fields, of the module.
    pub imports: String,
    pub fields: String,
    pub memory: String,
    pub version: &'static str,
    pub parameters: String,
}

impl Wat {
    pub fn new() -> Wat {
        Wat {
            bodies: BTreeMap::new(),
            imports: String::new(),
            fields: String::new(),
            memory: "(memory (export \"memory\") 1)".to_owned(),
            version: "0.1.0",
            parameters: "{}".to_owned(),
        }
    }

    /// Replaces the body of an exported function (which is also `$name`).
    pub fn body(mut self, function: &str, body: &str) -> Wat {
        self.bodies.insert(function.to_owned(), body.to_owned());
        self
    }

    pub fn field(mut self, field: &str) -> Wat {
        self.fields.push_str(field);
        self
    }

    /// The module; its exports say which world it is for.
    pub fn text(&self) -> String {
        let version = self.version;
        let mut text = format!(
            "(module\n(import \"gridwatch:detector/log@{version}\" \"write\" (func $log (param i32 i32 i32)))\n{}\n{}\n",
            self.imports, self.memory
        );
        for (name, signature) in SIGNATURES {
            let usual = match name {
                "remove-sensors" => "(nop)".to_owned(),
                "describe" => "(i32.const 256)".to_owned(),
                "observe" => format!("(global.set $heap (i32.const 8192)) (i32.const {NOTHING})"),
                "configure" => {
                    format!("(select (i32.const 1280) (i32.const {NOTHING}) (local.get 3))")
                }
                "save" => SAVE.to_owned(),
                _ => format!("(i32.const {NOTHING})"),
            };
            let body = self.bodies.get(name).unwrap_or(&usual);
            text += &format!(
                "(func ${name} (export \"gridwatch:detector/detector@{version}#{name}\") {signature} {body})\n"
            );
        }
        text += &REALLOC.replace("(BODY)", self.bodies.get("cabi_realloc").map_or(BUMP, String::as_str));
        text += &data(256, &self.descriptor());
        text += &data(512, b"test0.1.0kinda kind");
        text += &data(640, self.parameters.as_bytes());
        // ok([0]): the first of the available quantities, if there are any.
        text += &data(1280, &[0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0]);
        text += &data(1536, &[0, 0, 0, 0]);
        text + &self.fields + ")"
    }

    /// name, version, state-version, kinds, parameters, metadata.
    fn descriptor(&self) -> Vec<u8> {
        let parameters = u32::try_from(self.parameters.len()).unwrap();
        let words = [512, 4, 516, 5, 1, 320, 1, 640, parameters, 0, 0];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        bytes.resize(64, 0);
        // kinds[0]: name, description.
        bytes.extend([521_u32, 4, 525, 6].iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }
}

pub fn data(at: u32, bytes: &[u8]) -> String {
    let escaped: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(data (i32.const {at}) \"{escaped}\")\n")
}

const REALLOC: &str = r#"
(global $heap (mut i32) (i32.const 8192))
(func $realloc (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
  (local $at i32)
  (BODY))
"#;

/// Gives out memory from 8192 on, growing as needed; `observe` starts again from there.
const BUMP: &str = r#"
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
  (global.set $heap (i32.add (local.get $at) (local.get $new)))
  (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
    (then (drop (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $new) (i32.const 65536)))))))
  (local.get $at)
"#;

/// An empty state for each sensor: as many ends as were asked for, up to 1024, all zero.
const SAVE: &str = "
  (i32.store (i32.const 1604) (i32.const 4096)) (i32.store (i32.const 1608) (local.get 1))
  (i32.store (i32.const 1612) (i32.const 4096)) (i32.const 1600)";
