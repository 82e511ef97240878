//! Compiled code is taken only from where we put it, and only undamaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use gridwatch_core::judge::Module;
use gridwatch_sandbox::{Sandbox, SandboxError, SandboxSettings};

use crate::guest::Wat;

fn sandbox(dir: &Path) -> Result<Sandbox, SandboxError> {
    Sandbox::new(SandboxSettings {
        cache_dir: Some(dir.to_owned()),
        cache_files_max: 2,
        ..SandboxSettings::default()
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_warm_start_gives_the_same_module() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("code");
    let bytes = Wat::new().core();
    let cold = sandbox(&dir).unwrap().load(&bytes).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let [file] = files(&dir).try_into().unwrap();
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    let warm = sandbox(&dir).unwrap().load(&bytes).unwrap();
    assert_eq!(format!("{cold:?}"), format!("{warm:?}"));
    assert_eq!(warm.descriptor().kinds[0].name, "kind");
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written, "it was compiled again");
}

#[test]
fn a_damaged_file_is_compiled_anew_wherever_it_is_damaged() {
    let root = tempfile::tempdir().unwrap();
    let sandbox = sandbox(root.path()).unwrap();
    let bytes = Wat::new().core();
    sandbox.load(&bytes).unwrap();
    let [file] = files(root.path()).try_into().unwrap();
    let whole = fs::read(&file).unwrap();
    let mut damaged: Vec<Vec<u8>> = (0..whole.len())
        .step_by(whole.len() / 20)
        .map(|at| {
            let mut copy = whole.clone();
            copy[at] ^= 1;
            copy
        })
        .collect();
    damaged.extend([
        vec![],
        whole[..7].to_vec(),
        whole[..30].to_vec(),
        whole[..42].to_vec(),
        whole[..whole.len() - 1].to_vec(),
    ]);
    for bad in damaged {
        fs::write(&file, &bad).unwrap();
        sandbox.load(&bytes).unwrap();
        let mended = fs::read(&file).unwrap();
        assert!(mended == whole, "a file of {} bytes was not replaced", bad.len());
    }
}

#[test]
fn a_file_under_another_modules_name_is_not_taken() {
    let root = tempfile::tempdir().unwrap();
    let sandbox = sandbox(root.path()).unwrap();
    let one = Wat::new();
    let other = Wat::new().body("remove-sensors", "(unreachable)");
    sandbox.load(&one.core()).unwrap();
    let [first] = files(root.path()).try_into().unwrap();
    sandbox.load(&other.core()).unwrap();
    let second = files(root.path()).into_iter().find(|file| *file != first).unwrap();
    fs::copy(&first, &second).unwrap();
    let digest = sandbox.load(&other.core()).unwrap().digest().to_owned();
    assert!(second.to_str().unwrap().contains(digest.trim_start_matches("sha256:")));
    assert_ne!(fs::read(&first).unwrap(), fs::read(&second).unwrap());
}

#[test]
fn the_oldest_files_go() {
    let root = tempfile::tempdir().unwrap();
    let sandbox = sandbox(root.path()).unwrap();
    for n in 0..4 {
        let body = format!("(drop (i32.const {n}))");
        sandbox.load(&Wat::new().body("remove-sensors", &body).core()).unwrap();
    }
    assert_eq!(files(root.path()).len(), 2);
}

#[test]
fn a_directory_that_others_may_write_to() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = sandbox(root.path()).err().unwrap();
    assert!(error.to_string().contains("chmod 700"), "{error}");
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(matches!(sandbox(&file), Err(SandboxError::CacheDir { .. })));
}
