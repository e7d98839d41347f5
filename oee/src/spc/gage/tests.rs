use super::*;

fn data(appraisers: usize, parts: usize, trials: usize) -> Vec<Vec<Vec<f64>>> {
    let value = |appraiser: usize, part: usize, trial: usize| (appraiser * 7 + part * 5 + trial * 3) as f64 % 4.0;
    let cell = |appraiser, part| (0..trials).map(|trial| value(appraiser, part, trial)).collect();
    (0..appraisers).map(|appraiser| (0..parts).map(|part| cell(appraiser, part)).collect()).collect()
}

fn error(data: &[Vec<Vec<f64>>]) -> String {
    Study::new(data).expect_err("no study").to_string()
}

#[test]
fn layouts_that_do_not_do() {
    assert!(error(&data(1, 5, 3)).contains("1 appraisers"));
    assert!(error(&data(2, 1, 3)).contains("1 parts"));
    assert!(error(&data(2, 5, 1)).contains("1 trials"));
    assert!(error(&[]).contains("0 appraisers"));
    let mut unbalanced = data(2, 3, 3);
    unbalanced[1][2].pop();
    assert!(
        error(&unbalanced).contains("appraiser 2 measured part 3 2 times, and the first part was measured 3 times")
    );
    let mut fewer = data(2, 3, 3);
    fewer[1].pop();
    assert!(error(&fewer).contains("appraiser 2 measured 2 parts, and the first one 3"));
    let mut infinite = data(2, 3, 3);
    infinite[0][0][0] = f64::INFINITY;
    assert!(error(&infinite).contains("finite"));
    assert!(Study::of_rows([(0, 0, 1.0), (5, usize::MAX, 2.0)]).expect_err("none").to_string().contains("2 rows"));
}

#[test]
fn rows_make_the_same_study() {
    let data = data(3, 4, 2);
    let mut rows = Vec::new();
    for trial in 0..2 {
        for (appraiser, parts) in data.iter().enumerate() {
            rows.extend(parts.iter().enumerate().map(|(part, cell)| (appraiser, part, cell[trial])));
        }
    }
    assert_eq!(Study::of_rows(rows), Study::new(&data));
}

#[test]
fn measuring_that_does_not_vary_has_no_categories() {
    let exact: Vec<Vec<Vec<f64>>> = vec![(0..3).map(|part| vec![f64::from(part); 2]).collect(); 2];
    let study = Study::new(&exact).expect("a study");
    let components = study.average_range(Constants::Exact).components;
    assert_eq!((components.grr, components.categories()), (0.0, None));
    let anova = study.anova();
    assert_eq!((anova.interaction.f, anova.interaction.p, anova.chosen_name()), (None, None, "with_interaction"));
    assert_eq!(anova.with_interaction.part.f, None);

    let equal = Study::new(&vec![vec![vec![1.0; 2]; 3]; 2]).expect("a study");
    assert_eq!(equal.anova().chosen().components.percent(), None);
    assert!(components.percent_of_tolerance(0.0).is_err());
}

#[test]
fn what_comes_out_negative_is_none() {
    // Appraisers and parts differ by less than repeated trials do.
    let noisy = vec![vec![vec![0.0, 8.0], vec![1.0, 7.0]], vec![vec![8.0, 0.0], vec![7.0, 1.0]]];
    let study = Study::new(&noisy).expect("a study");
    let components = study.average_range(Constants::Exact).components;
    assert_eq!((components.av, components.pv), (0.0, 0.0));
    assert_eq!(components.categories(), Some(Categories { raw: 0.0, ndc: 1 }));
    let model = study.anova().with_interaction;
    assert_eq!((model.appraiser_variance, model.part_variance, model.interaction_variance), (0.0, 0.0, 0.0));
}

#[test]
fn variances_add_up() {
    let study = Study::new(&data(3, 5, 4)).expect("a study");
    let anova = study.anova();
    let values: Vec<f64> = data(3, 5, 4).concat().concat();
    let grand = values.iter().sum::<f64>() / values.len() as f64;
    let total: f64 = values.iter().map(|value| (value - grand).powi(2)).sum();
    assert!((anova.total.ss / total - 1.0).abs() < 1e-12);
    assert_eq!(anova.total.df, 59.0);
    let contribution = anova.chosen().components.contribution().expect("something varies");
    assert!((contribution.grr + contribution.pv - 100.0).abs() < 1e-10);
}

#[test]
fn rounding_is_no_variance_to_measure_against() {
    let data = [[[0.1, 0.2], [0.3, 0.4]], [[0.2, 0.3], [0.4, 0.5]]].map(|rows| rows.map(Vec::from).to_vec());
    let anova = Study::new(&data).expect("a study").anova();
    assert_eq!(
        (anova.interaction.ss, anova.with_interaction.appraiser.f, anova.with_interaction.part.p),
        (0.0, None, None)
    );
    assert!(anova.pooled.part.f.is_some_and(|f| f > 1.0));
}
