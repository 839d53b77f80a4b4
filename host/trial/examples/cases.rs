//! `COMPONENT CASES`: runs the cases.
use std::path::Path;

use portcullis_engine::{Grants, Limits, PluginFile};
use portcullis_plugin::testing::read_cases;
use portcullis_trial::{Subject, Trial};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let bytes = std::fs::read(&arguments[0]).unwrap();
    let grants = Grants { clock: true, state: true, labels: true, locked_wasi: true, ..Grants::default() };
    let limits = Limits { deadline_ms: 10_000, ..Limits::default() };
    let subject = Subject { name: "try".to_owned(), file: PluginFile::new(bytes), grants, limits };
    let mut trial = Trial::new(subject, None).unwrap();
    let mut bad = 0;
    for case in read_cases(Path::new(&arguments[1])).unwrap() {
        let report = trial.run(&case);
        let cost = report.cost.map(|cost| (cost.fuel, cost.micros, cost.memory));
        bad += usize::from(!report.differences.is_empty());
        println!("{} {:?} {:?} load {:?}", report.name, report.differences, cost, report.load_micros);
    }
    println!("{bad} failed");
}
