use super::*;

#[test]
fn standard_state_maps_need_not_be_declared() {
    let plant = |map: &str, more: &str| {
        let text = format!(
            "[plant]\nname = \"p\"\nzone = \"UTC\"\n[[equipment]]\npath = \"a\"\nstate_map = \"{map}\"\n{more}"
        );
        Plant::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    };
    let meaning =
        |plant: &Plant, value: &str| plant.state("a", value).map(|mapped| (mapped.state.clone(), mapped.category));
    let packml = plant("packml", "");
    for (value, state, category) in [
        ("6", "EXECUTE", Category::Run),
        ("Execute", "EXECUTE", Category::Run),
        ("11", "HELD", Category::Unplanned),
        ("4", "IDLE", Category::NoOrder),
        ("15", "RESETTING", Category::Changeover),
    ] {
        assert_eq!(meaning(&packml, value), Some((state.to_owned(), category)), "{value}");
    }
    // CLEARING is not a truth value.
    assert_eq!(meaning(&packml, "1"), Some(("CLEARING".to_owned(), Category::Unplanned)));
    assert_eq!(meaning(&packml, "0"), None, "UNDEFINED");
    assert_eq!(packml.classify("a", Some("0"), None, None).category, None, "UNDEFINED");
    assert_eq!(meaning(&packml, "true"), None);
    assert_eq!(packml.classify("a", Some("stopped"), None, None).state.as_ref(), "STOPPED");
    let e10 = plant("semi_e10", "");
    assert_eq!(meaning(&e10, "UDT"), Some(("UNSCHEDULED_DOWNTIME".to_owned(), Category::Unplanned)));
    assert_eq!(meaning(&e10, "Productive"), Some(("PRODUCTIVE".to_owned(), Category::Run)));
    let own = plant("packml", "[state_maps.packml]\n\"6\" = { state = \"RUNS\", category = \"run\" }\n");
    assert_eq!(meaning(&own, "6"), Some(("RUNS".to_owned(), Category::Run)));
    assert_eq!(meaning(&own, "11"), None, "a declared map is the whole map");
}
