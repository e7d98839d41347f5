use clap::CommandFactory;

use super::{Cli, HELP};

#[test]
fn commands_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn help_lists_every_command() {
    let listed: Vec<&str> = HELP
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with(|letter: char| letter.is_ascii_lowercase()) && !line.starts_with("takt"))
        .filter(|line| !line.starts_with("psql"))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut commands: Vec<String> = Cli::command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    commands.sort();
    let mut sorted = listed.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, commands);
}

#[test]
fn every_command_says_what_it_does() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "`takt {}` has no description", command.get_name());
    }
}

#[test]
fn examples_fit_a_narrow_terminal() {
    for command in Cli::command().get_subcommands() {
        let Some(examples) = command.get_after_help() else { continue };
        for line in examples.to_string().lines() {
            assert!(line.chars().count() <= 80, "takt {}: {line}", command.get_name());
        }
    }
}
