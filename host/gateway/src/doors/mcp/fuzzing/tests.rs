use std::path::Path;

/// Seeds that a person wrote, and inputs for which a property once did not hold.
fn corpus(name: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus").join(name);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        check(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(count > 5, "the corpus is not there");
}

#[test]
fn the_kept_messages_are_read_like_a_second_reader_reads_them() {
    corpus("envelope", super::envelope);
}

#[test]
fn the_kept_streams_are_read_like_a_second_reader_reads_them() {
    corpus("sse", super::sse);
}

#[test]
fn the_kept_headers_pass_only_if_they_repeat_their_body() {
    corpus("headers", super::headers);
}
