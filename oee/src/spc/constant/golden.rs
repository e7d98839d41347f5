//! The golden constants, to the 9 decimals that they have. `tests/golden/spc_constants.csv` was integrated
//! independently of this crate.

use super::{Factors, c4, d2, d2_star, d3};

fn constant(name: &str, n: u32) -> f64 {
    let factors = Factors::of(n).expect("two values or more");
    match name {
        "d2" => d2(n),
        "d3" => d3(n),
        "c4" => c4(n),
        "A" => factors.a,
        "A2" => factors.a2,
        "A3" => factors.a3,
        "B3" => factors.b3,
        "B4" => factors.b4,
        "B5" => factors.b5,
        "B6" => factors.b6,
        "D1" => factors.d1,
        "D2" => factors.d2,
        "D3" => factors.d3,
        "D4" => factors.d4,
        "E2" => factors.e2,
        "d2star_g1" => d2_star(n, 1),
        name => panic!("unknown constant {name}"),
    }
}

#[test]
fn golden_constants() {
    for table in crate::golden::texts("spc_constants.csv") {
        let mut lines = table.lines();
        let names: Vec<&str> = lines.next().expect("a header").split(',').collect();
        assert_eq!(names[0], "n");
        let mut rows = 0;
        for line in lines.filter(|line| !line.is_empty()) {
            let cells: Vec<&str> = line.split(',').collect();
            assert_eq!(cells.len(), names.len(), "{line}");
            let n = cells[0].parse().expect("a number of values");
            for (name, cell) in names.iter().zip(&cells).skip(1) {
                let (got, wanted) = (constant(name, n), cell.parse::<f64>().expect("a number"));
                assert!((got - wanted).abs() <= 1e-9, "{name}({n}): {got} for {wanted}");
            }
            rows += 1;
        }
        assert!(rows > 0, "no constants");
    }
}
