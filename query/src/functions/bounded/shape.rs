//! How large the rows of a type are, whatever they hold. A row of rows of rows is a type that doubles with each step.

use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_err};

/// Values that a type may give each row a place for, those inside of lists once.
const MOST_PLACES: u64 = 10_000;
/// Bytes of one place.
const PLACE_BYTES: u64 = 8;

/// Refuses a type whose rows are large.
///
/// # Errors
/// Says how large.
pub(crate) fn check_shape(kind: &DataType) -> Result<()> {
    let places = places(kind);
    if places > MOST_PLACES {
        return plan_err!(
            "a row would have places for {places} values in one column, more than the {MOST_PLACES} that it may have"
        );
    }
    Ok(())
}

fn places(kind: &DataType) -> u64 {
    match kind {
        DataType::FixedSizeBinary(bytes) => u64::try_from(*bytes).unwrap_or_default().div_ceil(PLACE_BYTES),
        DataType::FixedSizeList(field, length) => {
            u64::try_from(*length).unwrap_or_default().saturating_mul(places(field.data_type()))
        }
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => places(field.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| places(field.data_type())).fold(1, u64::saturating_add),
        DataType::Dictionary(_, value) => places(value),
        _ => 1,
    }
}
