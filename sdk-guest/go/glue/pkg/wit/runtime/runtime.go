// Package runtime stands in for the memory management that the generated bindings import.
//
// Everything in here is called while the host hands something over. It must not reach out of the component then, and does
// not: Go's collector asks for the time, which the component itself answers.
package runtime

import (
	"runtime"
	"unsafe"
)

// Everything that the host put into memory for the call at hand.
var pinner runtime.Pinner

// Allocate is pinned memory, all zero, aligned to 8 bytes, which is enough for every type of the contract. No bytes are nil.
func Allocate(pinner *runtime.Pinner, size, _ uintptr) unsafe.Pointer {
	if size == 0 {
		return nil
	}
	// Words without pointers: the collector does not look into it.
	pointer := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	pinner.Pin(pointer)
	return pointer
}

// Unpin lets go of what the host put into memory. What the plugin still uses stays.
func Unpin() {
	pinner.Unpin()
}

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	pointer := Allocate(&pinner, uintptr(size), uintptr(align))
	if kept := min(oldSize, size); kept != 0 {
		copy(unsafe.Slice((*byte)(pointer), kept), unsafe.Slice((*byte)(old), kept))
	}
	return pointer
}
