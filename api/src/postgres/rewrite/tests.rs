use super::*;

fn rewritten(text: &str) -> Option<String> {
    rewrite(text).expect("the statement is understood")
}

#[test]
fn a_statement_about_the_plant_stays_as_typed() {
    for text in [
        "SELECT time, value FROM samples WHERE equipment = 'pg_press' ORDER BY 1",
        "SELECT (SELECT max(time) FROM samples) AS newest, equipment FROM equipment",
        "SELECT all_pieces FROM counts",
        "SELECT * FORM",
    ] {
        assert_eq!(rewritten(text), None, "{text}");
    }
}

#[test]
fn functions_lose_their_schema() {
    assert_eq!(rewritten("select pg_catalog.version()").expect("rewritten"), "SELECT version() AS version");
}

#[test]
fn a_correlated_subquery_over_the_plant_is_not_thrown_away() {
    let text = "SELECT e.equipment, (SELECT max(s.time) FROM samples s WHERE s.equipment = e.equipment) FROM equipment e \
                WHERE e.equipment <> current_user";
    let text = rewritten(text).expect("rewritten");
    assert!(text.contains("max(s.time)"), "{text}");
}

#[test]
fn catalog_tables_are_found_without_their_schema() {
    let text = rewritten("SELECT datname FROM pg_database").expect("rewritten");
    assert!(text.contains("pg_catalog.pg_database"), "{text}");
}

#[test]
fn the_search_path_is_answered() {
    let asked = "SELECT quote_ident(table_name) FROM information_schema.tables WHERE quote_ident(table_schema) IN (
          SELECT
            CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END
          FROM
            generate_series(
              array_lower(string_to_array(current_setting('search_path'),','),1),
              array_upper(string_to_array(current_setting('search_path'),','),1)
            ) as i,
            string_to_array(current_setting('search_path'),',') s
          )";
    let text = rewritten(asked).expect("rewritten");
    assert!(text.contains("IN ('public')"), "{text}");
}
