//! Puts the dashboard's files, where somebody has built them, into the binary.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() -> std::io::Result<()> {
    let dist = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("dashboard/dist");
    println!("cargo::rerun-if-changed=build.rs");
    // Where there is none, its folder is what changes when it comes.
    let folder = dist.parent().unwrap_or(&dist).to_owned();
    println!("cargo::rerun-if-changed={}", if dist.exists() { &dist } else { &folder }.display());
    let mut files = Vec::new();
    if dist.join("index.html").is_file() {
        files_below(&dist, &mut files)?;
    }
    files.sort();
    let mut list = String::from("pub const FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let path = file.strip_prefix(&dist).unwrap_or(&file).display().to_string();
        let _ = writeln!(list, "    (\"/{path}\", include_bytes!({:?})),", file.display().to_string());
    }
    list.push_str("];\n");
    std::fs::write(Path::new(&std::env::var("OUT_DIR").unwrap_or_default()).join("dashboard.rs"), list)
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files_below(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
