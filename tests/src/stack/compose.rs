//! What `compose/docker-compose.yml` says.

use serde_yaml_ng::Value;

use super::read;

/// The file with its merges made.
pub fn file() -> Value {
    let mut file: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("YAML");
    // What is merged may have something merged into it.
    for _ in 0..3 {
        file.apply_merge().expect("merges of mappings");
    }
    file
}

/// The command of a service, word by word.
pub fn command(service: &str) -> Vec<String> {
    let command = file()["services"][service]["command"].clone();
    let words = command.as_sequence().unwrap_or_else(|| panic!("{service} has no command in words"));
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}
