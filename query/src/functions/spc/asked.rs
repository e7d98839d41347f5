//! What a call of an SPC function asks for, in words: `'subgroup=5'`, `'rules=nelson'`.

use std::sync::Arc;

use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::Expr;
use oee::series::Reduction;
use oee::spc::capability::Spec;
use oee::spc::nonnormal::Family;
use oee::spc::t2::ALPHA;
use oee::spc::{ChartKind, Parameters, Rational, RuleSet, SigmaMethod};

use super::measured::{COLUMNS_OF_CHARTS, PIECE};
use crate::functions::arguments::text;
use crate::functions::function::Function;

/// What a call asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) kind: ChartKind,
    pub(crate) rules: Arc<RuleSet>,
    /// Whether the call names them.
    pub(crate) names_rules: bool,
    pub(crate) parameters: Parameters,
    /// How many subgroups limits are estimated from; all where it is not said.
    pub(crate) phase_i: Option<usize>,
    /// None where it is not said.
    pub(crate) subgroup: Option<Rational>,
    /// Values that agree in these are one chart.
    pub(crate) by: Vec<&'static str>,
    /// Samples of a signal instead of measurements.
    pub(crate) signal: Option<(String, Reduction)>,
    /// Scrap among the pieces of `counts` instead of measurements.
    pub(crate) counts: bool,
    /// Whether frozen limits are used where there are any.
    pub(crate) frozen: bool,
    /// The first of the words that are about limits of the chart's own.
    pub(crate) of_own_limits: Option<&'static str>,
    /// What overrides the specification of the rows and of the characteristic.
    pub(crate) spec: Spec,
    pub(crate) sigma_method: Option<SigmaMethod>,
    pub(crate) distribution: Family,
    /// AIAG's rounded constants of average and range.
    pub(crate) manual_constants: bool,
    /// Of T²: what is judged together.
    pub(crate) characteristics: Vec<String>,
    /// Of T²: probability of a point above the limit where nothing has changed.
    pub(crate) alpha: f64,
    /// Standard deviation of the process that a gage measures.
    pub(crate) process_sigma: Option<f64>,
}

impl Asked {
    pub(super) fn new(kind: ChartKind) -> Self {
        Self {
            kind,
            rules: Arc::new(RuleSet::nelson()),
            names_rules: false,
            parameters: Parameters::default(),
            phase_i: None,
            subgroup: None,
            by: by_default(kind),
            signal: None,
            counts: false,
            frozen: true,
            of_own_limits: None,
            spec: Spec::default(),
            sigma_method: None,
            distribution: Family::Normal,
            manual_constants: false,
            characteristics: Vec::new(),
            alpha: ALPHA,
            process_sigma: None,
        }
    }
}

/// Short runs bring different products onto one chart, and T² different characteristics.
fn by_default(kind: ChartKind) -> Vec<&'static str> {
    let several = kind == ChartKind::T2;
    let brought = |name: &str| kind.is_short_run() && name == "product" || several && name == "characteristic";
    COLUMNS_OF_CHARTS.into_iter().filter(|name| !brought(name)).collect()
}

const CHART_WORDS: &[&str] = &[
    "subgroup",
    "by",
    "rules",
    "phase_i",
    "limits",
    "source",
    "signal",
    "reduce",
    "target",
    "sigma",
    "width",
    "lambda",
    "steady",
    "k",
    "h",
    "headstart",
    "span",
];
/// Of these, those that frozen limits have said already.
const OF_OWN_LIMITS: &[&str] =
    &["target", "sigma", "phase_i", "alpha", "width", "lambda", "steady", "k", "h", "headstart", "span"];
/// Of these, those that only some charts have.
const OF_SOME_CHARTS: &[&str] = &["width", "lambda", "steady", "k", "h", "headstart", "span"];
const T2_WORDS: &[&str] = &["characteristics", "subgroup", "by", "phase_i", "limits", "alpha"];
const CAPABILITY_WORDS: &[&str] =
    &["subgroup", "by", "signal", "reduce", "lower", "upper", "target", "sigma_method", "distribution"];
const GAGE_WORDS: &[&str] = &["by", "lower", "upper", "constants"];
const BIAS_WORDS: &[&str] = &["by", "target", "process_sigma"];
const LINEARITY_WORDS: &[&str] = &["by"];

/// Reads a call; what is left of its arguments is the window.
pub(crate) fn read(function: Function, arguments: &[Expr]) -> Result<(Asked, &[Expr])> {
    let (kind, words, known) = match (function, arguments) {
        (Function::Spc | Function::SpcLimits, [chart, words @ ..]) => {
            let Some(chart) = text(chart) else { return plan_err!("{}", function.usage()) };
            match ChartKind::parse(chart) {
                Ok(ChartKind::T2) => (ChartKind::T2, words, T2_WORDS),
                Ok(kind) => (kind, words, CHART_WORDS),
                Err(error) => return plan_err!("{error}"),
            }
        }
        (Function::Spc | Function::SpcLimits, []) => return plan_err!("{}", function.usage()),
        (Function::GageRr, words) => (ChartKind::IMr, words, GAGE_WORDS),
        (Function::GageBias, words) => (ChartKind::IMr, words, BIAS_WORDS),
        (Function::GageLinearity, words) => (ChartKind::IMr, words, LINEARITY_WORDS),
        (_, words) => (ChartKind::IMr, words, CAPABILITY_WORDS),
    };
    let mut asked = Asked::new(kind);
    let mut reduction = None;
    let mut rest = words;
    let mut taken: Vec<&str> = Vec::new();
    while let [word, after @ ..] = rest
        && let Some((name, value)) = text(word).and_then(|word| word.split_once('='))
    {
        let (name, value) = (name.trim(), value.trim());
        if !known.contains(&name) {
            return plan_err!("{} knows no word {name:?}; its words are {}", function.name(), known.join(", "));
        }
        if taken.contains(&name) {
            return plan_err!("{name}= is said twice");
        }
        taken.extend(known.iter().find(|known| **known == name));
        let of_chart = kind.parameters();
        if OF_SOME_CHARTS.contains(&name) && !of_chart.contains(&name) {
            return plan_err!("{} has no {name}=; its parameters are {}", kind.name(), of_chart.join(", "));
        }
        asked.of_own_limits = asked.of_own_limits.or_else(|| OF_OWN_LIMITS.iter().find(|word| **word == name).copied());
        if name == "reduce" {
            reduction = Some(one_of(name, value, &Reduction::WORDS)?);
        } else {
            asked.take(name, value)?;
        }
        rest = after;
    }
    match (&mut asked.signal, reduction) {
        (Some((_, how)), Some(reduction)) => *how = reduction,
        (None, Some(_)) => return plan_err!("reduce= says what is made of a signal: name it with 'signal=NAME'"),
        _ => {}
    }
    if asked.signal.is_some() && kind.is_attribute() {
        return plan_err!("{} counts, and a signal is measured: write i_mr or xbar_r for it", kind.name());
    }
    if asked.counts && (!kind.is_attribute() || kind == ChartKind::C) {
        return plan_err!("source=counts is for charts of counts: write p, np, u or laney_p for it");
    }
    if kind == ChartKind::T2 && (asked.characteristics.len() < 2 || asked.by.contains(&"characteristic")) {
        return plan_err!("t2 judges several characteristics of a unit together: write 'characteristics=bore, length'");
    }
    if let Err(error) = asked.parameters.check() {
        return plan_err!("{error}");
    }
    if let Err(error) = Spec::new(asked.spec.lower, asked.spec.upper, asked.spec.target) {
        return plan_err!("{error}");
    }
    Ok((asked, rest))
}

impl Asked {
    fn take(&mut self, name: &str, value: &str) -> Result<()> {
        let parameters = &mut self.parameters;
        match name {
            "subgroup" => match Rational::parse(value) {
                Ok(by) => self.subgroup = Some(by),
                Err(error) => return plan_err!("{error}"),
            },
            "by" => self.by = columns(value)?,
            "rules" => match RuleSet::parse(value) {
                Ok(rules) => (self.rules, self.names_rules) = (Arc::new(rules), true),
                Err(error) => return plan_err!("{error}"),
            },
            "characteristics" => self.characteristics = different(name, value)?,
            "alpha" => self.alpha = share(name, value)?,
            "phase_i" => self.phase_i = Some(count(name, value)?),
            "limits" => self.frozen = one_of(name, value, &[("frozen", true), ("own", false)])?,
            "source" => self.counts = one_of(name, value, &[("counts", true), ("measurements", false)])?,
            "signal" => self.signal = Some((value.to_owned(), Reduction::Mean)),
            "lower" => self.spec.lower = Some(number(name, value)?),
            "upper" => self.spec.upper = Some(number(name, value)?),
            // Of a chart its centre line, of capability what is aimed at.
            "target" => {
                parameters.target = Some(number(name, value)?);
                self.spec.target = parameters.target;
            }
            "process_sigma" => self.process_sigma = Some(positive(name, value)?),
            "sigma" => parameters.sigma = Some(number(name, value)?),
            "width" => parameters.width = number(name, value)?,
            "lambda" => parameters.lambda = number(name, value)?,
            "steady" => parameters.steady = one_of(name, value, &[("true", true), ("false", false)])?,
            "k" => parameters.k = number(name, value)?,
            "h" => parameters.h = number(name, value)?,
            "headstart" => parameters.headstart = number(name, value)?,
            "span" => parameters.span = count(name, value)?,
            "sigma_method" => match SigmaMethod::parse(value) {
                Ok(method) => self.sigma_method = Some(method),
                Err(error) => return plan_err!("{error}"),
            },
            "distribution" => match Family::parse(value) {
                Ok(family) => self.distribution = family,
                Err(error) => return plan_err!("{error}"),
            },
            "constants" => self.manual_constants = one_of(name, value, &[("exact", false), ("manual", true)])?,
            _ => {}
        }
        Ok(())
    }
}

fn one_of<T: Copy>(name: &str, value: &str, words: &[(&str, T)]) -> Result<T> {
    match words.iter().find(|(word, _)| *word == value) {
        Some((_, found)) => Ok(*found),
        None => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            plan_err!("{name}={value:?} is not known; write one of {}", words.join(", "))
        }
    }
}

fn number(name: &str, value: &str) -> Result<f64> {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => plan_err!("{name}={value:?} is not a number"),
    }
}

/// Names divided by commas, each once.
fn different(name: &str, value: &str) -> Result<Vec<String>> {
    let mut found: Vec<String> = Vec::new();
    for one in value.split(',').map(str::trim) {
        if one.is_empty() || found.iter().any(|known| known == one) {
            return plan_err!("{name}={value:?}: write different names, divided by commas");
        }
        found.push(one.to_owned());
    }
    Ok(found)
}

fn share(name: &str, value: &str) -> Result<f64> {
    match number(name, value)? {
        number if 0.0 < number && number < 1.0 => Ok(number),
        _ => plan_err!("{name}={value:?} is not between 0 and 1"),
    }
}

fn positive(name: &str, value: &str) -> Result<f64> {
    match number(name, value)? {
        number if number > 0.0 => Ok(number),
        _ => plan_err!("{name}={value:?} is not above 0"),
    }
}

fn count(name: &str, value: &str) -> Result<usize> {
    match value.parse::<usize>() {
        Ok(count) if count > 0 => Ok(count),
        _ => plan_err!("{name}={value:?} is not a whole number above 0"),
    }
}

fn columns(value: &str) -> Result<Vec<&'static str>> {
    let mut found = Vec::new();
    for name in value.split(',').map(str::trim) {
        match COLUMNS_OF_CHARTS.into_iter().chain([PIECE]).find(|column| *column == name) {
            Some(column) => found.push(column),
            None => {
                return plan_err!("by={value:?}: {name:?} is none of {}, {PIECE}", COLUMNS_OF_CHARTS.join(", "));
            }
        }
    }
    Ok(found)
}
