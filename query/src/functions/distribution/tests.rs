use crate::fixture::Bench;

#[tokio::test]
async fn a_distribution_is_what_its_text_says() {
    let bench = Bench::new();
    let ask = async |sql: &str| bench.ask(&format!("SELECT {sql}")).await[0].clone();
    // Tables: Φ(1.96) = 0.975, and φ(0) = 0.39894.
    let normal = "'normal(mean=10, sigma=2)'";
    assert_eq!(ask(&format!("round(distribution_share({normal}, 13.919928), 6)")).await, "0.975");
    assert_eq!(ask(&format!("round(distribution_quantile({normal}, 0.975), 5)")).await, "13.91993");
    assert_eq!(ask(&format!("round(distribution_density({normal}, 10), 5)")).await, "0.19947");
    // By hand: 1 - exp(-(5/10)^2), and 10 sqrt(ln 2).
    let weibull = "'weibull(shape=2, scale=10)'";
    assert_eq!(ask(&format!("round(distribution_share({weibull}, 5), 6)")).await, "0.221199");
    assert_eq!(ask(&format!("round(distribution_quantile({weibull}, 0.5), 5)")).await, "8.32555");
    assert_eq!(ask("distribution_density(NULL, 1)").await, "");
    assert_eq!(ask(&format!("distribution_density({normal}, NULL)")).await, "");
}

#[tokio::test]
async fn every_row_has_its_own_distribution() {
    let bench = Bench::new();
    let sql = "SELECT distribution_quantile(f, x) FROM (VALUES ('normal(mean=1, sigma=1)', 0.5), ('exponential(mean=2)', 0.5),
        ('normal(mean=3, sigma=1)', 0.5), (NULL, 0.5)) AS v(f, x)";
    let found = bench.ask(sql).await;
    assert_eq!(found[0], "1.0");
    assert!(found[1].starts_with("1.38629436"), "{found:?}");
    assert_eq!(found[2..], ["3.0", ""]);
}

#[tokio::test]
async fn what_is_no_distribution_is_said() {
    let bench = Bench::new();
    for (call, said) in [
        ("distribution_density('weibul(shape=2, scale=1)', 1)", "is no distribution with its parameters"),
        ("distribution_quantile('exponential(mean=1)', 1)", "must be above 0 and below 1"),
        ("distribution_quantile('exponential(mean=1)', 'NaN'::double)", "must be above 0 and below 1"),
        ("distribution_share(1, 1)", "takes a distribution as `fitted` of capability has it"),
    ] {
        let error = bench.refusal(&format!("SELECT {call}")).await.to_string();
        assert!(error.contains(said), "{call}: {error}");
    }
}
