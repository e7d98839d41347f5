use super::*;

fn bound(text: &str, literals: &[&str]) -> Source {
    let literals: Vec<_> = literals.iter().map(|literal| Some((*literal).to_owned())).collect();
    Source::new(text, 0).bind(&literals).expect("every parameter has a value")
}

#[test]
fn literals_stand_where_placeholders_stood() {
    let source = bound("SELECT '$1', $2 -- $1\n FROM oee($1) WHERE x = $2", &["'1 hour'", "(-3)"]);
    assert_eq!(source.text(), "SELECT '$1', (-3) -- $1\n FROM oee('1 hour') WHERE x = (-3)");
}

#[test]
fn a_value_that_is_missing_is_named() {
    let failure = Source::new("SELECT $2", 0).bind(&[None]).expect_err("there is one value only");
    assert_eq!(failure.sqlstate, sqlstate::UNDEFINED_PARAMETER);
    assert!(failure.message.contains("$2"));
    assert!(parameter_count("SELECT $0").is_err());
}

#[test]
fn the_highest_number_counts() {
    assert_eq!(parameter_count("SELECT $3, $1, '$9'"), Ok(3));
    assert_eq!(parameter_count("SELECT 1"), Ok(0));
}

#[test]
fn a_place_leads_back_to_what_was_typed() {
    let typed = "SELECT $1, nope FROM x";
    let source = bound(typed, &["'a long literal'"]);
    let failure = source.place(Failure::syntax("here").at(1, 26));
    let position = failure.position.expect("the place is known");
    assert!(typed.chars().skip(position - 1).collect::<String>().starts_with("nope"), "{position}");
}

#[test]
fn a_place_inside_a_literal_is_its_placeholder() {
    let source = bound("SELECT $1", &["'a long literal'"]);
    assert_eq!(source.place(Failure::syntax("here").at(1, 12)).position, Some(8));
}

#[test]
fn a_later_statement_is_counted_from_the_beginning_of_the_query_string() {
    let source = Source::new("SELECT nope", 20);
    assert_eq!(source.place(Failure::syntax("here").at(1, 8)).position, Some(28));
}
