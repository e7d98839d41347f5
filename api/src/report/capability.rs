//! Capability, as `capability` gives it.

use oee::spc::nonnormal::{NoShape, Shape};
use query::QueryError;

use super::Failure;
use super::source::Source;
use super::subject::Subject;
use crate::columns::{Doubles, Integers, Texts};

/// How the spread fits into the specification.
#[derive(Debug)]
pub(crate) struct Capability {
    pub(crate) n: i64,
    pub(crate) n_within: i64,
    pub(crate) mean: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) lower: Option<f64>,
    pub(crate) upper: Option<f64>,
    pub(crate) target: Option<f64>,
    pub(crate) sigma_within: Option<f64>,
    pub(crate) sigma_method: Option<String>,
    pub(crate) sigma_overall: Option<f64>,
    pub(crate) cp: Index,
    pub(crate) cpk: Index,
    pub(crate) pp: Index,
    pub(crate) ppk: Index,
    pub(crate) cpm: Index,
    pub(crate) observed: Ppm,
    pub(crate) expected: Ppm,
    pub(crate) expected_within: Option<f64>,
    pub(crate) anderson_darling: Option<f64>,
    pub(crate) anderson_darling_p: Option<f64>,
    pub(crate) looks_normal: Option<String>,
    pub(crate) distribution: String,
    /// What was fitted, where something could be.
    pub(crate) fitted: Option<Shape>,
    /// How well it fits, and how probable a worse fit is.
    pub(crate) fit: (Option<f64>, Option<f64>),
    pub(crate) method: Option<String>,
    pub(crate) reason: Option<String>,
}

/// An index with its 95 % interval.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Index {
    pub(crate) value: Option<f64>,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

/// Values outside the specification, per million.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ppm {
    pub(crate) all: Option<f64>,
    pub(crate) below: Option<f64>,
    pub(crate) above: Option<f64>,
}

/// None where nothing was measured.
pub(crate) async fn read(source: &Source, subject: &Subject) -> Result<Option<Capability>, Failure> {
    let found = source.ask(&format!("SELECT * FROM {} LIMIT 1", subject.capability())).await?;
    if found.num_rows() == 0 {
        return Ok(None);
    }
    let number = |name: &str| Ok::<_, Failure>(Doubles::of(&found, name)?.at(0));
    let text = |name: &str| Ok::<_, Failure>(Texts::of(&found, name)?.owned(0));
    let index = |name: &str| {
        Ok::<_, Failure>(Index {
            value: number(name)?,
            low: number(&format!("{name}_low"))?,
            high: number(&format!("{name}_high"))?,
        })
    };
    let ppm = |name: &str| {
        Ok::<_, Failure>(Ppm {
            all: number(name)?,
            below: number(&format!("{name}_below"))?,
            above: number(&format!("{name}_above"))?,
        })
    };
    Ok(Some(Capability {
        n: Integers::of(&found, "n")?.at(0).unwrap_or(0),
        n_within: Integers::of(&found, "n_within")?.at(0).unwrap_or(0),
        mean: number("mean")?,
        min: number("min")?,
        max: number("max")?,
        lower: number("lower_limit")?,
        upper: number("upper_limit")?,
        target: number("target")?,
        sigma_within: number("sigma_within")?,
        sigma_method: text("sigma_method")?,
        sigma_overall: number("sigma_overall")?,
        cp: index("cp")?,
        cpk: index("cpk")?,
        pp: index("pp")?,
        ppk: index("ppk")?,
        cpm: index("cpm")?,
        observed: ppm("observed_ppm")?,
        expected: ppm("expected_ppm")?,
        expected_within: number("expected_ppm_within")?,
        anderson_darling: number("anderson_darling")?,
        anderson_darling_p: number("anderson_darling_p")?,
        looks_normal: text("looks_normal")?,
        distribution: text("distribution")?.unwrap_or_default(),
        fitted: text("fitted")?.map(|fitted| fitted.parse()).transpose().map_err(unreadable)?,
        fit: (number("fit_anderson_darling")?, number("fit_anderson_darling_p")?),
        method: text("method")?,
        reason: text("reason")?,
    }))
}

fn unreadable(error: NoShape) -> Failure {
    Failure::Query(QueryError::Execution(error.to_string()))
}
