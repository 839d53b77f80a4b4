//! The ledger through its public face, on a real folder.

mod common;

use common::{block_on, draft, open};

#[test]
fn what_is_appended_is_read_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    for seq in 0..300 {
        let receipt = block_on(ledger.append(draft("acme", seq))).unwrap();
        assert_eq!(receipt.seq, seq);
        assert_eq!(ledger.head("acme").unwrap().hash, receipt.hash);
    }
    let before = ledger.entries("acme", 0, 1000).unwrap();
    block_on(ledger.close());

    let ledger = open(folder.path());
    assert_eq!(ledger.entries("acme", 0, 1000).unwrap(), before);
    assert_eq!(ledger.entries("acme", 250, 10).unwrap(), before[250..260]);
    assert_eq!(ledger.entry("acme", 299).unwrap().as_ref(), before.last());
    assert_eq!(ledger.entry("acme", 300).unwrap(), None);
    assert_eq!(ledger.head("nobody"), None);
    let report = ledger.verify("acme").unwrap();
    assert!(report.is_good() && report.entries == 300, "{report}");
}
