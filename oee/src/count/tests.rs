use super::{CountRecord, CounterSteps, Piece, Unjudged};

fn piece(total: Option<f64>, good: Option<f64>, scrap: Option<f64>) -> Option<(f64, f64)> {
    CountRecord { time: 1, total, good, scrap, ..CountRecord::default() }
        .piece()
        .map(|piece| (piece.total, piece.scrap))
}

#[test]
fn two_give_the_third() {
    assert_eq!(piece(Some(10.0), None, Some(2.0)), Some((10.0, 2.0)));
    assert_eq!(piece(Some(10.0), Some(7.0), None), Some((10.0, 3.0)));
    assert_eq!(piece(None, Some(7.0), Some(3.0)), Some((10.0, 3.0)));
}

#[test]
fn one_alone_counts_as_it_can() {
    assert_eq!(piece(Some(10.0), None, None), Some((10.0, 0.0)));
    assert_eq!(piece(None, Some(7.0), None), Some((7.0, 0.0)));
    assert_eq!(piece(None, None, Some(1.0)), Some((0.0, 1.0)));
    assert_eq!(piece(None, None, None), None);
}

fn sums(pieces: &[Piece]) -> (f64, f64) {
    pieces.iter().fold((0.0, 0.0), |sum, piece| (sum.0 + piece.total, sum.1 + piece.scrap))
}

#[test]
fn counters_give_the_same_pieces_by_any_two() {
    let (total, good, scrap) =
        (vec![(1, 5.0), (3, 5.0)], vec![(1, 4.0), (3, 5.0)], vec![(2, 1.0, Some("BURR".into()))]);
    let given = [
        CounterSteps { total: Some(total.clone()), good: None, scrap: Some(scrap.clone()) },
        CounterSteps { total: Some(total.clone()), good: Some(good.clone()), scrap: None },
        CounterSteps { total: None, good: Some(good.clone()), scrap: Some(scrap.clone()) },
        CounterSteps { total: Some(total), good: Some(good), scrap: Some(scrap.clone()) },
    ];
    for steps in given {
        let pieces = steps.pieces().expect("counted");
        assert_eq!(sums(&pieces), (10.0, 1.0), "{steps:?}");
        assert!(pieces.is_sorted_by_key(|piece| piece.time));
    }
    assert_eq!(CounterSteps { scrap: Some(scrap), ..CounterSteps::default() }.pieces(), None);
    assert_eq!(CounterSteps::default().pieces(), None);
}

/// Each field was possible when it came, and the row that they make is not: nothing is counted of it, and it is told.
#[test]
fn a_row_that_contradicts_itself_is_not_counted() {
    let rows = [
        (Some(1.0), None, Some(2.0)),
        (Some(1.0), Some(9.0), None),
        (Some(10.0), Some(9.0), Some(2.0)),
        (Some(10.0), Some(5.0), Some(2.0)),
        (Some(10.0), Some(8.0), Some(2.0)),
        (Some(0.3), Some(0.1), Some(0.1 + 0.1)),
    ];
    let counted = rows.map(|(total, good, scrap)| {
        let piece = CountRecord { time: 1, total, good, scrap, ..CountRecord::default() }.piece().expect("pieces");
        (piece.total, piece.scrap, piece.detail().unjudged.is_none())
    });
    let expected = [
        (1.0, 0.0, false),
        (1.0, 0.0, false),
        (10.0, 0.0, false),
        (10.0, 0.0, false),
        (10.0, 2.0, true),
        (0.3, 0.1 + 0.1, true),
    ];
    assert_eq!(counted, expected);
    let reworked = CountRecord { time: 1, total: Some(5.0), rework: Some(6.0), ..CountRecord::default() };
    assert_eq!(reworked.piece().expect("pieces").detail().unjudged, Some(Unjudged::Contradiction));
}
