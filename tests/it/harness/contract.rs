//! Holds each answer to the contract, `/openapi.json`: its status has to be one that the operation lists.

use std::sync::LazyLock;

use super::Answer;

struct Operation {
    method: String,
    path: String,
    statuses: Vec<String>,
}

static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| {
    let contract = penstock::api::openapi::openapi();
    let mut operations = Vec::new();
    for (path, methods) in contract["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(responses) = operation["responses"].as_object() else {
                continue;
            };
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                statuses: responses.keys().cloned().collect(),
            });
        }
    }
    operations
});

/// What is asked is in no operation where the path or the method is none.
pub fn check(answer: &Answer) {
    if answer.status == 405 {
        return;
    }
    let (method, path) = answer.asked.split_once(' ').unwrap();
    let method = if method == "HEAD" { "GET" } else { method };
    let path = path.split('?').next().unwrap().trim_end_matches('/');
    let fitting = OPERATIONS
        .iter()
        .filter(|operation| operation.method == method && fits(&operation.path, path));
    // The one that names most of the path.
    let operation = fitting.min_by_key(|operation| operation.path.matches('{').count());
    let Some(operation) = operation else {
        return;
    };
    let listed = |status: &str| operation.statuses.iter().any(|one| one == status);
    let said = listed(&answer.status.to_string()) || listed("default");
    assert!(
        said,
        "{} {} is not in the contract, which has {:?} for {} {}: {}",
        answer.asked,
        answer.status,
        operation.statuses,
        operation.method,
        operation.path,
        String::from_utf8_lossy(&answer.body)
    );
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) =
        (pattern.split('/').collect(), path.split('/').collect());
    let fits = |(wanted, segment): (&&str, &&str)| match wanted.split_once('}') {
        Some((_, ending)) => segment.ends_with(ending),
        None => wanted == segment,
    };
    pattern.len() == path.len() && pattern.iter().zip(&path).all(fits)
}
