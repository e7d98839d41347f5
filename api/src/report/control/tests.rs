use super::*;

fn points(count: i64) -> Vec<Point> {
    (1..=count)
        .map(|number| Point {
            number,
            time: number * 60_000_000,
            main: Plotted { value: Some((number % 7) as f64), centre: Some(3.0), lcl: Some(-1.0), ucl: Some(7.0) },
            sigma: Some(1.3),
            limits: "estimated".to_owned(),
            phase: Some("I".to_owned()),
            rules: (number == count).then(|| "N1".to_owned()),
            ..Point::default()
        })
        .collect()
}

fn drawn(count: i64) -> Figure {
    let clock = Clock::utc();
    let look = Look { caption: "I-MR".to_owned(), titles: ("X", "MR"), places: 1, clock: &clock };
    draw(&points(count), &look)
}

fn steps(figure: &Figure) -> usize {
    figure
        .shapes
        .iter()
        .map(|shape| match shape {
            Shape::Path { steps, .. } => steps.len(),
            Shape::Text(_) => 0,
        })
        .sum()
}

#[test]
fn nothing_is_drawn_outside_and_every_place_is_a_number() {
    for count in [0, 1, 2, 500, 20_000] {
        let figure = drawn(count);
        for shape in &figure.shapes {
            let Shape::Path { steps, .. } = shape else { continue };
            for step in steps {
                let (Step::Move(x, y) | Step::Line(x, y)) = step else { continue };
                assert!((0.0..=figure.width).contains(x) && (0.0..=figure.height).contains(y), "{count}: {step:?}");
            }
        }
    }
}

#[test]
fn many_points_are_not_drawn_one_by_one() {
    assert!(steps(&drawn(20_000)) < 5_000, "{}", steps(&drawn(20_000)));
}

#[test]
fn labels_stand_under_each_other() {
    for floor in [60.0, 200.0] {
        let mut labels = vec![
            (50.0, "UCL".to_owned(), Ink::Limit),
            (51.0, "CL".to_owned(), Ink::Centre),
            (52.0, "LCL".to_owned(), Ink::Limit),
        ];
        settle(&mut labels, floor);
        assert!(labels.windows(2).all(|pair| pair[1].0 - pair[0].0 >= LABEL_APART - 1e-9), "{labels:?}");
        assert!(labels[2].0 <= floor);
        // Where there is room below, the first stays where its line is.
        assert!(floor < 100.0 || labels[0].0 == 50.0, "{labels:?}");
    }
}

#[test]
fn lines_stay_in_their_plot() {
    let lines = [Ink::Dot, Ink::Limit, Ink::Centre];
    for shape in drawn(500).shapes {
        let Shape::Path { steps, stroke: Some(stroke), .. } = shape else { continue };
        let out_of_plot = |step: &Step| match step {
            Step::Move(_, y) | Step::Line(_, y) => !(TOP..=TOP + MAIN_HEIGHT).contains(y),
            Step::Close => false,
        };
        assert!(!(lines.contains(&stroke.ink) && steps.iter().any(out_of_plot)), "{stroke:?}");
    }
}
