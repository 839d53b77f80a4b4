module portcullis/bindings

go 1.25
