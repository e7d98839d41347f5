//! What a report is asked for: the names of its address are those of the SPC page's address and of SQL's words.

use oee::spc::ChartKind;
use serde::Deserialize;

/// The address of a report, as it was written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    pub(crate) characteristic: Option<String>,
    pub(crate) equipment: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) chart: Option<String>,
    pub(crate) subgroup: Option<String>,
    pub(crate) rules: Option<String>,
    pub(crate) limits: Option<String>,
    /// The page's address says `phase`.
    #[serde(alias = "phase")]
    pub(crate) phase_i: Option<String>,
    pub(crate) lambda: Option<String>,
    pub(crate) k: Option<String>,
    pub(crate) h: Option<String>,
    pub(crate) headstart: Option<String>,
    pub(crate) span: Option<String>,
    pub(crate) steady: Option<String>,
    pub(crate) width: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) sigma: Option<String>,
    pub(crate) distribution: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) as_of: Option<String>,
    pub(crate) format: Option<String>,
}

/// Which values of a column are charted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Those of all names on one chart.
    All,
    /// Those that name none.
    Nameless,
    Named(String),
}

impl Choice {
    /// As an address says it: `*` for all, nothing for those without a name.
    pub(crate) fn read(text: &str) -> Self {
        match text {
            "*" => Self::All,
            "" => Self::Nameless,
            name => Self::Named(name.to_owned()),
        }
    }

    /// The name, where there is one.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::All | Self::Nameless => None,
        }
    }

    /// Whether values with this name are charted.
    pub(crate) fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nameless => name.is_empty(),
            Self::Named(own) => own == name,
        }
    }

    /// What chooses them in SQL; nothing where all are taken.
    pub(crate) fn condition(&self, column: &str) -> Option<String> {
        match self {
            Self::All => None,
            Self::Nameless => Some(format!("({column} IS NULL OR {column} = '')")),
            Self::Named(name) => Some(format!("{column} = {}", quoted(name))),
        }
    }
}

/// A text in SQL, whatever is in it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// What people call a chart.
pub(crate) fn title(kind: ChartKind) -> &'static str {
    match kind.name() {
        "i_mr" => "I-MR",
        "xbar_r" => "X\u{304}-R",
        "xbar_s" => "X\u{304}-S",
        "laney_p" => "Laney p′",
        "laney_u" => "Laney u′",
        "ewma" => "EWMA",
        "cusum" => "CUSUM",
        "moving_average" => "Moving average",
        "short_run_deviation" => "Short run, deviation",
        "short_run_z" => "Short run, Z",
        other => other,
    }
}

/// What is plotted on a chart.
pub(crate) fn statistic(kind: ChartKind) -> &'static str {
    match kind.name() {
        "i_mr" => "X",
        "xbar_r" | "xbar_s" => "X\u{304}",
        "laney_p" => "p",
        "laney_u" => "u",
        "ewma" => "EWMA",
        "cusum" => "C+",
        "moving_average" => "MA",
        "short_run_deviation" => "X − nominal",
        "short_run_z" => "Z",
        other => other,
    }
}

/// Whether points have the unit of measure of the values.
pub(crate) fn plots_values(kind: ChartKind) -> bool {
    !kind.is_attribute() && !matches!(kind.name(), "cusum" | "short_run_z")
}

/// Whether it brings products with their nominals onto one chart.
pub(crate) fn brings_products(kind: ChartKind) -> bool {
    kind.name().starts_with("short_run")
}

/// Whether units that conform are told from those that do not, so that `pass` and `fail` count.
pub(crate) fn counts_failures(kind: ChartKind) -> bool {
    matches!(kind.name(), "p" | "np" | "laney_p")
}

/// How values become subgroups where nothing says it; none: each by itself, or as the function knows it.
pub(crate) fn usual_subgroup(kind: ChartKind) -> Option<&'static str> {
    match kind.name() {
        "xbar_r" | "xbar_s" => Some("5"),
        "p" | "np" | "laney_p" => Some("1 hour"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_sql_end_where_they_end() {
        assert_eq!(quoted("O'Neill'); DROP"), "'O''Neill''); DROP'");
        assert_eq!(Choice::read("a'b").condition("equipment").as_deref(), Some("equipment = 'a''b'"));
        assert_eq!(Choice::read("*").condition("equipment"), None);
        assert_eq!(Choice::read("").condition("product").as_deref(), Some("(product IS NULL OR product = '')"));
    }

    #[test]
    fn every_chart_has_a_name_for_people() {
        for name in [
            "i_mr",
            "xbar_r",
            "p",
            "np",
            "laney_p",
            "c",
            "u",
            "laney_u",
            "ewma",
            "cusum",
            "moving_average",
            "short_run_deviation",
            "short_run_z",
        ] {
            let kind = ChartKind::parse(name).unwrap();
            assert!(!title(kind).contains('_') && !statistic(kind).contains('_'), "{name}");
        }
    }
}
