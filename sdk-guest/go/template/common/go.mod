module plugin.local/{{ident}}

go 1.25

require portcullis v0.0.0

// The SDK lies beside the source; `portcullis plugin new` put it there.
replace portcullis => ./sdk
