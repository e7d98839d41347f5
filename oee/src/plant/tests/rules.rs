//! Rules on signals: when a machine runs, and why it stands.

use super::{PLANT, PRESS, check_added};
use crate::SECOND_US;
use crate::condition::Condition;
use crate::plant::{Plant, StateRule};

fn signal(keys: &str) -> String {
    format!("[[signals]]\nequipment = \"tokyo\"\nsignal = \"speed\"\n{keys}")
}

fn declared(keys: &str) -> Option<StateRule> {
    let plant = Plant::parse(&format!("{PLANT}\n{}\n", signal(keys))).unwrap_or_else(|found| panic!("{found:#?}"));
    plant.signal("tokyo", "speed").running.clone()
}

#[test]
fn a_signal_may_tell_by_a_rule_when_a_machine_runs() {
    let rule = |condition, for_s| Some(StateRule { condition, for_us: for_s * SECOND_US });
    let equals = |text: &str| Condition::Equals(text.to_owned());
    assert_eq!(declared("role = \"state\"\nrunning = { above = 5.0, for_s = 10 }"), rule(Condition::Above(5.0), 10));
    assert_eq!(declared("role = \"state\"\nrunning = { below = -1 }"), rule(Condition::Below(-1.0), 0));
    assert_eq!(declared("role = \"state\"\nrunning = { equals = \"RUN\", for_s = 300 }"), rule(equals("RUN"), 300));
    assert_eq!(declared("role = \"state\"\nrunning = { equals = true }"), rule(equals("true"), 0));
    assert_eq!(declared("role = \"state\"\nrunning = { equals = 6.0 }"), rule(equals("6"), 0));
    assert_eq!(declared("role = \"state\""), None);
}

#[test]
fn rules_must_make_sense() {
    let refused = |keys: &str, message, remedy| check_added(&signal(keys), message, remedy);
    let state = |rule: &str| format!("role = \"state\"\nrunning = {rule}");
    refused(&state("5"), "`running` must be a table such as { above = 5.0", "for_s = 10 }");
    refused(&state("{ above = 5, below = 9 }"), "`running` has both `above` and `below`", "keep one");
    refused(&state("{ equals = \"x\", below = 9 }"), "has both `below` and `equals`", "keep one");
    refused(&state("{ for_s = 9 }"), "`running` says no condition", "above = …");
    refused(&state("{ abov = 5 }"), "`running` has no key `abov`", "did you mean `above`?");
    refused(&state("{ above = 5, for = 9 }"), "has no key `for`", "did you mean `for_s`?");
    refused(&state("{ above = \"5\" }"), "`above` must be a number", "a number");
    refused(&state("{ equals = [1] }"), "`equals` must be text in quotes, a number", "");
    refused(&state("{ above = 5, for_s = -1 }"), "`for_s` is -1", "from 0 to 300");
    refused(&state("{ above = 5, for_s = 301 }"), "`for_s` is 301", "from 0 to 300");
    refused("running = { above = 5 }", "not bound to them", "role = \"state\"");
    refused("role = \"total_count\"\nrunning = { above = 5 }", "not bound to them", "role = \"state\"");
    refused("role = \"state\"\nruning = { above = 5 }", "no key `runing`", "did you mean `running`?");
}

#[test]
fn a_rule_stands_in_for_a_state_map() {
    let at = |equipment: &str, more: &str| {
        format!(
            "[[equipment]]\npath = \"{equipment}\"\n{more}\n[[signals]]\nequipment = \"{equipment}\"\nsignal = \"speed\"\n\
             role = \"state\"\nrunning = {{ above = 5 }}"
        )
    };
    check_added(&at("tokyo/lathe", "state_map = \"packml\""), "has both a rule and a state map", "leave out");
    let below = "[[equipment]]\npath = \"tokyo/lathe\"\nstate_map = \"packml\"";
    let ruled = signal("role = \"state\"\nrunning = { above = 5 }");
    check_added(&format!("{below}\n{ruled}"), "on `tokyo/lathe`", "leave out `running` or `state_map`");
    // One that is inherited may be meant for others; one of records is for these; a nearer signal needs its own.
    let nearer = "[[signals]]\nequipment = \"tokyo/lathe\"\nsignal = \"state\"\nrole = \"state\"";
    let fits = [
        at("cologne/line-1/lathe", ""),
        format!("{below}\nstate_source = \"mes\"\n{ruled}"),
        format!("{below}\n{nearer}\n{ruled}"),
    ];
    for added in fits {
        let plant = Plant::parse(&format!("{PLANT}\n{added}\n")).unwrap_or_else(|found| panic!("{added}: {found:#?}"));
        assert!(plant.signal(PRESS, "speed").running.is_none());
    }
}

#[test]
fn the_margin_of_a_window_holds_what_a_rule_waits_for() {
    let ruled = signal("role = \"state\"\nrunning = { above = 5, for_s = 10 }");
    let plant = Plant::parse(&format!("{PLANT}\n{ruled}\n")).unwrap_or_else(|found| panic!("{found:#?}"));
    assert_eq!([PRESS, "tokyo", "nowhere"].map(|path| plant.margin_us(path) / SECOND_US), [120, 130, 0]);
}

fn reason_rule(equipment: &str, keys: &str) -> String {
    format!("[[reason_rules]]\nequipment = \"{equipment}\"\n{keys}\n")
}

#[test]
fn reason_rules_of_the_nearest_node_come_first_each_in_file_order() {
    let keys = |signal: &str| format!("signal = \"{signal}\"\nequals = 1\nreason = \"JAM\"");
    let added =
        [("cologne", "far"), (PRESS, "first"), ("tokyo", "other"), (PRESS, "second"), ("cologne/line-1", "near")]
            .map(|(equipment, signal)| reason_rule(equipment, &keys(signal)))
            .concat();
    let plant = Plant::parse(&format!("{PLANT}\n{added}")).unwrap_or_else(|found| panic!("{found:#?}"));
    let of = |path: &str| plant.reason_rules(path).iter().map(|rule| rule.signal.clone()).collect::<Vec<_>>();
    assert_eq!(of(PRESS), ["first", "second", "near", "far"]);
    assert_eq!(of("cologne/line-1"), ["near", "far"]);
    assert_eq!(plant.reason_rules(PRESS)[0].condition, Condition::Equals("1".to_owned()));
    assert!(plant.bound_signals().any(|signal| signal == "second"));
    assert_eq!(plant.margin_us(PRESS) / SECOND_US, 125);
}

#[test]
fn reason_rules_must_make_sense() {
    let refused = |keys: &str, message, remedy| check_added(&reason_rule("tokyo", keys), message, remedy);
    refused("signal = \"x\"\nequals = 1\nreason = \"JAMM\"", "unknown reason `JAMM`", "did you mean `JAM`?");
    refused("signal = \"x\"\nreason = \"JAM\"", "[[reason_rules]] says no condition", "add above = …");
    refused("signal = \"x\"\nabove = 1\nequals = 1\nreason = \"JAM\"", "both `above` and `equals`", "keep one");
    refused("above = 1\nreason = \"JAM\"", "[[reason_rules]] has no `signal`", "add `signal");
    refused("signal = \"x\"\nabove = 1", "[[reason_rules]] has no `reason`", "add `reason");
    refused("signal = \"x\"\nequal = 1\nreason = \"JAM\"", "has no key `equal`", "did you mean `equals`?");
    let keys = "signal = \"x\"\nequals = 1\nreason = \"JAM\"";
    check_added(&reason_rule("tokio", keys), "unknown equipment `tokio`", "did you mean `tokyo`?");
    let thinned = "[[signals]]\nequipment = \"tokyo\"\nsignal = \"x\"\n\
                   compression = { method = \"dead_band\", deviation = 1 }\n";
    check_added(&format!("{thinned}{}", reason_rule("tokyo", keys)), "samples of `x` may be left out", "compression");
}
