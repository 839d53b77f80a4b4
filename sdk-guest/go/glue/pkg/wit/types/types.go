// Package types stands in for the types that the generated bindings import.
package types

// Tags of Option.
const (
	OptionNone = 0
	OptionSome = 1
)

// Option is a value or none.
type Option[T any] struct {
	value *T
}

// None is no value.
func None[T any]() Option[T] {
	return Option[T]{}
}

// Some is a value.
func Some[T any](value T) Option[T] {
	return Option[T]{&value}
}

// Tag is OptionNone or OptionSome.
func (option Option[T]) Tag() uint8 {
	if option.value == nil {
		return OptionNone
	}
	return OptionSome
}

// Some is the value; panics without one.
func (option Option[T]) Some() T {
	return *option.value
}

// Pointer points to the value, or is nil.
func (option Option[T]) Pointer() *T {
	return option.value
}

// Tags of Result.
const (
	ResultOk  = 0
	ResultErr = 1
)

// Result is an answer or an error.
type Result[T, E any] struct {
	failed bool
	ok     T
	err    E
}

// Ok is an answer.
func Ok[T, E any](value T) Result[T, E] {
	return Result[T, E]{ok: value}
}

// Err is an error.
func Err[T, E any](err E) Result[T, E] {
	return Result[T, E]{failed: true, err: err}
}

// Tag is ResultOk or ResultErr.
func (result Result[T, E]) Tag() uint8 {
	if result.failed {
		return ResultErr
	}
	return ResultOk
}

// Ok is the answer; its zero value if there is an error.
func (result Result[T, E]) Ok() T {
	return result.ok
}

// Err is the error; its zero value if there is an answer.
func (result Result[T, E]) Err() E {
	return result.err
}

// IsErr tells whether there is an error.
func (result Result[T, E]) IsErr() bool {
	return result.failed
}

// Tuple2 is a pair.
type Tuple2[A, B any] struct {
	F0 A
	F1 B
}

// Unit is nothing.
type Unit struct{}
