use super::*;

#[test]
fn filters_cover_topics_as_the_standard_says() {
    let cases = [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b/c", "a/b", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("#", "a/b", true),
        ("a/+/c", "a/b/c", true),
        ("a/+/c", "a/b/d", false),
        ("+/b", "/b", true),
        ("+", "a/b", false),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
    ];
    for (filter, topic, expected) in cases {
        assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
    }
}

#[test]
fn wildcards_stand_alone_in_their_level() {
    for filter in ["a", "a/b", "+", "#", "a/+/b", "a/#", "/", "a//b"] {
        assert!(is_filter(filter), "{filter}");
    }
    for filter in ["", "a#", "a/#/b", "a+/b", "#/a", "a\0b"] {
        assert!(!is_filter(filter), "{filter:?}");
    }
    assert!(is_topic("a/b") && !is_topic("") && !is_topic("a/+") && !is_topic("#"));
}
