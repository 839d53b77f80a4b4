// Package files is read-only data folders. It asks for files; read them in Configure, so that their content is prepared once.
package files

import "portcullis/internal/host"

func init() { host.Use("files", func() bool { return host.TheFiles != nil }) }

// Read is the bytes of a file, at most 16 MiB. The path is <folder name>/<relative path>.
func Read(path string) ([]byte, error) {
	if host.TheFiles == nil {
		return nil, host.NotThere("files")
	}
	return host.TheFiles.Read(path)
}

// Entries is the names in a folder, sorted; folders end with /.
func Entries(path string) ([]string, error) {
	if host.TheFiles == nil {
		return nil, host.NotThere("files")
	}
	return host.TheFiles.Entries(path)
}
