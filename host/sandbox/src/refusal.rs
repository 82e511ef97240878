//! Why bytes are not taken as a detector: what is wrong, where, and how to mend it.

use gridwatch_core::judge::Fault;

/// A file that cannot be a detector here. Nothing of it has run, except in `Describe`, `Descriptor`
/// (its `describe` was called, under limits). `label` is what metrics and tables say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "not WebAssembly: {found}; build the detector for --target wasm32-unknown-unknown and drop the .wasm"
    )]
    NotWasm { found: String },
    #[error(
        "the file ends too early, at byte {at}: {what}; copy it again, whole (write beside it, then rename)"
    )]
    Truncated { at: usize, what: String },
    #[error("damaged or not valid WebAssembly{}: {what}; build it again", at.map(|at| format!(", at byte {at}")).unwrap_or_default())]
    Invalid { at: Option<usize>, what: String },
    #[error(
        "native code compiled ahead of time by wasmtime, which is not taken from outside since it cannot be \
         checked; drop the .wasm that it was compiled from"
    )]
    Precompiled,
    #[error(
        "{bytes} bytes, more than the {max} allowed (module_bytes_max); build with --release, opt-level \"s\" \
         and strip debug information (wasm-tools strip)"
    )]
    TooLarge { bytes: usize, max: usize },
    #[error(
        "a core module that does not say which world it was built for (no custom section \"component-type\", no \
         exports gridwatch:detector/detector@0.1.0#…); build it with the SDK or wit-bindgen against \
         wit/detector.wit and do not strip custom sections, or export the functions under those names"
    )]
    NoWorld,
    #[error(
        "a core module that does not fit the world it was built for: {what}; build it again with the SDK or wit-bindgen against wit/detector.wit"
    )]
    CoreUnfit { what: String },
    #[error(
        "does not export gridwatch:detector/detector (exports: {}); build it for world \
         gridwatch:detector/detector-module (with the SDK: gridwatch_sdk::export!)",
        list(exports)
    )]
    MissingExport { exports: Vec<String> },
    #[error(
        "built for contract {found}, this host speaks {spoken}; build it against this host's wit/detector.wit"
    )]
    WrongContract { found: String, spoken: &'static str },
    #[error("imports {import}, which detectors are not given; {mend}")]
    ForbiddenImport { import: String, mend: &'static str },
    #[error(
        "its imports or exports do not have the contract's types: {what}; build it against this host's wit/detector.wit"
    )]
    Unlinkable { what: String },
    #[error("`describe` failed: {0}")]
    Describe(Fault),
    #[error("its descriptor cannot be used: {field}: {what}")]
    Descriptor { field: String, what: String },
}

impl Refusal {
    pub fn label(&self) -> &'static str {
        match self {
            Refusal::NotWasm { .. } => "not_wasm",
            Refusal::Truncated { .. } => "truncated",
            Refusal::Invalid { .. } => "invalid",
            Refusal::Precompiled => "precompiled",
            Refusal::TooLarge { .. } => "too_large",
            Refusal::NoWorld => "no_world",
            Refusal::CoreUnfit { .. } => "core_unfit",
            Refusal::MissingExport { .. } => "missing_export",
            Refusal::WrongContract { .. } => "wrong_contract",
            Refusal::ForbiddenImport { .. } => "forbidden_import",
            Refusal::Unlinkable { .. } => "unlinkable",
            Refusal::Describe(_) => "describe",
            Refusal::Descriptor { .. } => "descriptor",
        }
    }
}

/// At most a line's worth of names.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 5;
    match names.len() {
        0 => "nothing".to_owned(),
        n if n <= SHOWN => names.join(", "),
        n => format!("{}, and {} more", names[..SHOWN].join(", "), n - SHOWN),
    }
}
