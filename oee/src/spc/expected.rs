//! Comparing with golden figures: what is expected is asked of the case, field by field, and a field that no one asks
//! about fails.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

/// An object of a golden case, and which of its fields were looked at.
pub(in crate::spc) struct Fields<'v> {
    place: String,
    value: &'v Value,
    seen: RefCell<BTreeSet<String>>,
    tolerance: Tolerance,
}

/// How far a figure may be from the expected one: relatively, or absolutely where it is near zero by cancellation.
#[derive(Debug, Clone, Copy)]
pub(in crate::spc) struct Tolerance {
    pub(in crate::spc) relative: f64,
    pub(in crate::spc) absolute: f64,
}

impl Tolerance {
    fn allows(self, got: f64, wanted: f64) -> bool {
        (got - wanted).abs() <= (self.relative * wanted.abs()).max(self.absolute)
    }
}

impl<'v> Fields<'v> {
    pub(in crate::spc) fn new(place: impl Into<String>, value: &'v Value, tolerance: Tolerance) -> Self {
        let place = place.into();
        assert!(value.is_object(), "{place}: no object");
        Self { place, value, seen: RefCell::default(), tolerance }
    }

    /// The field, if the object has it.
    pub(in crate::spc) fn get(&self, name: &str) -> Option<&'v Value> {
        self.seen.borrow_mut().insert(name.to_owned());
        self.value.get(name)
    }

    pub(in crate::spc) fn object(&self, name: &str) -> Option<Fields<'v>> {
        let value = self.get(name).filter(|value| !value.is_null())?;
        Some(Fields::new(format!("{} {name}", self.place), value, self.tolerance))
    }

    /// The case says that there is none.
    pub(in crate::spc) fn is_null(&self, name: &str) -> bool {
        self.get(name).is_some_and(Value::is_null)
    }

    pub(in crate::spc) fn number(&self, name: &str) -> Option<f64> {
        let value = self.get(name).filter(|value| !value.is_null())?;
        Some(value.as_f64().unwrap_or_else(|| panic!("{} {name}: no number", self.place)))
    }

    pub(in crate::spc) fn place(&self) -> &str {
        &self.place
    }

    /// A figure; null is none.
    pub(in crate::spc) fn figure(&self, name: &str, got: Option<f64>) {
        self.within(name, got, self.tolerance);
    }

    pub(in crate::spc) fn within(&self, name: &str, got: Option<f64>, tolerance: Tolerance) {
        if let Some(wanted) = self.get(name) {
            self.same(name, got, wanted, tolerance);
        }
    }

    fn same(&self, name: &str, got: Option<f64>, wanted: &Value, tolerance: Tolerance) {
        let place = format!("{} {name}", self.place);
        assert!(wanted.is_null() || wanted.is_number(), "{place}: {wanted} is no figure");
        match (got, wanted.as_f64()) {
            (None, None) => {}
            (Some(got), Some(wanted)) => assert!(tolerance.allows(got, wanted), "{place}: {got} for {wanted}"),
            (got, wanted) => panic!("{place}: {got:?} for {wanted:?}"),
        }
    }

    /// A figure for each point.
    pub(in crate::spc) fn figures(&self, name: &str, got: impl IntoIterator<Item = Option<f64>>) {
        let Some(wanted) = self.get(name) else { return };
        let wanted = wanted.as_array().unwrap_or_else(|| panic!("{} {name}: no array", self.place));
        let got: Vec<_> = got.into_iter().collect();
        assert_eq!(got.len(), wanted.len(), "{} {name}: how many", self.place);
        for (place, (got, wanted)) in got.into_iter().zip(wanted).enumerate() {
            self.same(&format!("{name} {place}"), got, wanted, self.tolerance);
        }
    }

    /// Exactly these points.
    pub(in crate::spc) fn indices(&self, name: &str, got: impl IntoIterator<Item = usize>) {
        let Some(wanted) = self.get(name) else { return };
        let got: Vec<_> = got.into_iter().collect();
        assert_eq!(&serde_json::json!(got), wanted, "{} {name}", self.place);
    }

    pub(in crate::spc) fn text(&self, name: &str, got: &str) {
        if let Some(wanted) = self.get(name) {
            assert_eq!(wanted.as_str(), Some(got), "{} {name}", self.place);
        }
    }

    /// Every field was looked at, or is prose.
    pub(in crate::spc) fn all_seen(&self, prose: &[&str]) {
        let seen = self.seen.borrow();
        let unseen = |name: &&String| !seen.contains(name.as_str()) && !prose.contains(&name.as_str());
        let fields = self.value.as_object().into_iter().flat_map(|fields| fields.keys());
        let unseen: Vec<_> = fields.filter(unseen).collect();
        assert!(unseen.is_empty(), "{}: nothing checks {unseen:?}", self.place);
    }
}
