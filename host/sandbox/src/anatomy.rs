//! What the bytes are, import and export: read with wasmparser, before anything of them is compiled.

use serde::{Deserialize, Serialize};
use wasmparser::{BinaryReader, BinaryReaderError, Encoding, Parser, Payload};

use crate::refusal::Refusal;
use crate::wasi;

/// The contract that this host speaks. Versions `0.1.x` fit one another.
pub const CONTRACT: &str = "gridwatch:detector@0.1.0";
const COMPATIBLE: &str = "0.1.";
const DETECTOR: &str = "gridwatch:detector/detector";
const OFFERED: [&str; 2] = ["gridwatch:detector/log", "gridwatch:detector/types"];

/// In which form a detector was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    Component,
    /// A plain core module built against the world; the host makes it a component.
    Core,
}

impl Form {
    pub fn name(self) -> &'static str {
        match self {
            Form::Component => "component",
            Form::Core => "core module",
        }
    }
}

/// What a binary says of itself on its outermost level. Names are as in the binary, a core module's
/// imports and exports as `module.name` and `name`.
pub struct Anatomy {
    pub form: Form,
    pub imports: Vec<String>,
    pub exports: Vec<String>,
    /// Names of custom sections.
    pub custom: Vec<String>,
}

/// Reads the structure; that functions' bodies are valid is seen when they are compiled.
pub fn read(bytes: &[u8]) -> Result<Anatomy, Refusal> {
    look_at_head(bytes)?;
    look_at_end(bytes)?;
    let mut anatomy =
        Anatomy { form: Form::Core, imports: Vec::new(), exports: Vec::new(), custom: Vec::new() };
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|e| unreadable(&e))?;
        match payload {
            Payload::Version { encoding: Encoding::Component, .. } if depth == 0 => {
                anatomy.form = Form::Component
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            payload if depth == 0 => section(payload, &mut anatomy).map_err(|e| unreadable(&e))?,
            _ => {}
        }
    }
    Ok(anatomy)
}

fn section(payload: Payload<'_>, anatomy: &mut Anatomy) -> Result<(), BinaryReaderError> {
    match payload {
        Payload::ComponentImportSection(section) => {
            for import in section {
                anatomy.imports.push(shown(import?.name.name));
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section {
                anatomy.exports.push(shown(export?.name.name));
            }
        }
        Payload::ImportSection(section) => {
            for import in section.into_imports() {
                let import = import?;
                anatomy.imports.push(shown(&format!("{}.{}", import.module, import.name)));
            }
        }
        Payload::ExportSection(section) => {
            for export in section {
                anatomy.exports.push(shown(export?.name));
            }
        }
        Payload::CustomSection(section) => anatomy.custom.push(shown(section.name())),
        _ => {}
    }
    Ok(())
}

/// Names are a stranger's text of any length.
fn shown(name: &str) -> String {
    const NAME_CHARS_MAX: usize = 200;
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

/// Tells apart what people drop by mistake.
fn look_at_head(bytes: &[u8]) -> Result<(), Refusal> {
    let not_wasm = |found: &str| Err(Refusal::NotWasm { found: found.to_owned() });
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(Refusal::Precompiled);
    }
    match bytes {
        [] => not_wasm("the file is empty"),
        [0, b'a', b's', b'm', _, _, _, _, ..] => Ok(()),
        _ if b"\0asm".starts_with(bytes) || bytes.starts_with(b"\0asm") => {
            Err(Refusal::Truncated { at: bytes.len(), what: "not even the header is whole".to_owned() })
        }
        [0x7f, b'E', b'L', b'F', ..] => not_wasm("an ELF file, native code of this machine"),
        [0x1f, 0x8b, ..] => not_wasm("a gzip file; unpack it"),
        [b'P', b'K', ..] => not_wasm("a zip file; unpack it"),
        _ if bytes.trim_ascii_start().starts_with(b"(") => {
            not_wasm("WebAssembly text; make it binary with wasm-tools parse")
        }
        _ => not_wasm("it does not begin with the bytes \"\\0asm\""),
    }
}

/// A copy that is not complete ends within a section: its sizes say so, whatever is in it.
fn look_at_end(bytes: &[u8]) -> Result<(), Refusal> {
    let mut at = 8;
    while at < bytes.len() {
        // A section: its kind in one byte, its size, so many bytes.
        let mut reader = BinaryReader::new(bytes.get(at + 1..).unwrap_or_default(), 0);
        let Ok(size) = reader.read_var_u32() else {
            // The end, or no size at all; the parser says what.
            break;
        };
        let end = at + 1 + reader.original_position() + size as usize;
        if end > bytes.len() {
            let what = format!("the section that starts at byte {at} ends at byte {end}");
            return Err(Refusal::Truncated { at: bytes.len(), what });
        }
        at = end;
    }
    Ok(())
}

fn unreadable(error: &BinaryReaderError) -> Refusal {
    Refusal::Invalid { at: Some(error.offset()), what: error.message().to_owned() }
}

/// The contract's version that a component exports: `0.1.0`. Refuses what this host does not speak.
pub fn contract_version(anatomy: &Anatomy) -> Result<String, Refusal> {
    let versions: Vec<&str> = anatomy.exports.iter().filter_map(|name| version_of(name, DETECTOR)).collect();
    if let Some(version) = versions.iter().find(|version| version.starts_with(COMPATIBLE)) {
        return Ok((*version).to_owned());
    }
    match versions.first() {
        None => Err(Refusal::MissingExport { exports: anatomy.exports.clone() }),
        Some(found) => {
            let found = if found.is_empty() { "without a version".to_owned() } else { (*found).to_owned() };
            Err(Refusal::WrongContract { found, spoken: CONTRACT })
        }
    }
}

/// Only what the contract offers may be imported, and WASI, which is answered without a world behind it: so a
/// detector is proven unable to do I/O.
pub fn check_imports(anatomy: &Anatomy) -> Result<(), Refusal> {
    for import in &anatomy.imports {
        let offered = match anatomy.form {
            Form::Component => {
                wasi::is_offered(import)
                    || OFFERED
                        .iter()
                        .any(|name| version_of(import, name).is_some_and(|v| v.starts_with(COMPATIBLE)))
            }
            // What the encoder makes of these is checked again, as a component.
            Form::Core => {
                CORE_OURS.iter().any(|ours| import.starts_with(ours))
                    || import.split('.').next() == Some(wasi::PREVIEW_1)
            }
        };
        if !offered {
            return Err(Refusal::ForbiddenImport { import: import.clone(), mend: mend(import) });
        }
    }
    Ok(())
}

/// How a core module's imports begin that stand for the world's, by the canonical ABI: interfaces, the
/// standard name mangling, intrinsics for exported interfaces and for the world itself.
const CORE_OURS: [&str; 4] = ["gridwatch:", "cm32p2|", "[export]gridwatch:", "$root."];

/// The version behind `name@`, or an empty one where `whole` is `name`.
fn version_of<'a>(whole: &'a str, name: &str) -> Option<&'a str> {
    match whole.strip_prefix(name)? {
        "" => Some(""),
        rest => rest.strip_prefix('@'),
    }
}

fn mend(import: &str) -> &'static str {
    if import.starts_with("wasi:sockets") || import.starts_with("wasi:http") {
        "a detector has no network: take out the crates that want one, or put what they would fetch into the \
         parameters or the asset file"
    } else if import.starts_with("wasi") {
        "of WASI, version 0.2's cli, clocks, filesystem, io and random are answered (and preview 1 for core \
         modules), without a world behind them. Rust: build for wasm32-wasip1 or, better, with --target \
         wasm32-unknown-unknown, which imports none of it; take out what asks for more"
    } else if import.starts_with("gridwatch:") {
        "this host speaks gridwatch:detector@0.1 and offers its log and types only; build it against this \
         host's wit/detector.wit"
    } else if import.starts_with("env.") {
        "a symbol that the linker did not find: link the library that defines it, or take out the call"
    } else if import.starts_with("__wbindgen") || import.starts_with("./") {
        "that is wasm-bindgen's, for browsers: take out the crates that need it (getrandom's or uuid's \"js\" \
         feature, chrono's \"wasmbind\")"
    } else {
        "only gridwatch:detector/log and gridwatch:detector/types are offered; take the import out of the world"
    }
}
