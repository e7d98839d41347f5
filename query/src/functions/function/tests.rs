#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

#[test]
fn every_function_says_how_to_call_it() {
    for function in Function::ALL {
        let call = function.explicit_form();
        assert!(call.starts_with(&format!("{}(", function.name())), "{call}");
        assert!(function.usage().starts_with(&format!("{} takes ", function.name())), "{}", function.usage());
        assert!(function.usage().ends_with(call), "{}", function.usage());
    }
}

#[test]
fn every_column_has_a_name_of_its_own() {
    for function in Function::ALL {
        let schema = function.schema();
        let mut names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{}", function.name());
        // What is said of values that are read need not be said of rows.
        let of_rows = !function.takes_names();
        assert!(!of_rows || function.names().iter().all(|name| names.contains(name)), "{}", function.name());
    }
}
