#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use expect_test::expect_file;
use utoipa::openapi::path::Operation;

use super::*;

/// The document as it is in the repository: what changes in it is seen in a review. `UPDATE_EXPECT=1` writes it anew.
#[test]
fn the_document_is_the_one_in_the_repository() {
    let text = serde_json::to_string_pretty(&described().1).unwrap() + "\n";
    expect_file!["../../openapi.json"].assert_eq(&text);
}

#[test]
fn every_operation_says_what_it_is_and_what_goes_wrong() {
    let document = described().1;
    let mut operations: Vec<(&String, &Operation, bool)> = Vec::new();
    for (path, item) in &document.paths.paths {
        operations.extend(item.get.iter().map(|operation| (path, operation, false)));
        operations.extend(item.post.iter().map(|operation| (path, operation, true)));
        assert!(item.put.is_none() && item.delete.is_none() && item.patch.is_none(), "{path}");
    }
    assert!(operations.len() >= 13);
    for (path, operation, is_change) in operations {
        let said = operation.description.as_ref().or(operation.summary.as_ref());
        assert!(said.is_some_and(|text| text.len() > 20), "{path}: says nothing");
        assert_eq!(operation.security.is_some(), is_change, "{path}: a change needs the token");
        assert_eq!(operation.responses.responses.contains_key("401"), is_change, "{path}");
        let takes_query = operation
            .parameters
            .iter()
            .flatten()
            .any(|parameter| serde_json::to_value(parameter).unwrap()["in"] == "query");
        assert!(!takes_query || operation.responses.responses.contains_key("400"), "{path}: bad input");
    }
}

#[test]
fn a_name_in_a_path_is_answered_with_a_problem() {
    let document = described().1;
    for (path, item) in &document.paths.paths {
        for operation in item.get.iter().chain(&item.post).filter(|_| path.contains('{')) {
            let is_list = path.ends_with("/logs");
            assert!(is_list || operation.responses.responses.contains_key("404"), "{path}");
        }
    }
}
