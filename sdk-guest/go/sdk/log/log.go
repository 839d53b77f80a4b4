// Package log writes lines for the operator. It is always granted. Never write arguments: the host does not log them either.
//
// The standard library's log writes here, too, at Info. In ordinary tests lines are dropped.
package log

import (
	"fmt"
	"strings"

	"portcullis/internal/host"
)

// Trace is for every step.
func Trace(format string, values ...any) { write(0, format, values) }

// Debug is for the plugin's author.
func Debug(format string, values ...any) { write(1, format, values) }

// Info is for the operator.
func Info(format string, values ...any) { write(2, format, values) }

// Warn says that something is not right, and the plugin goes on.
func Warn(format string, values ...any) { write(3, format, values) }

// Error says that something is wrong.
func Error(format string, values ...any) { write(4, format, values) }

func write(level uint8, format string, values []any) {
	if host.Write != nil {
		host.Write(level, strings.ToValidUTF8(fmt.Sprintf(format, values...), "\uFFFD"))
	}
}
