// The module that is built: the exports, which call the plugin.
package main

import _ "portcullis/bindings/wit_exports"

func main() {}
