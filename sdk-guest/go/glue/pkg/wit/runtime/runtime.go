// Package runtime stands in for the memory management that the generated bindings import.
//
// Go's collector does not move anything, so it is enough to hold on to what the host was given the address of. All of this is
// let go when the next call begins; what the plugin still uses then stays, since Go knows the strings and slices that lie in
// it. Nothing in here may reach out of the component, and nothing does: the collector asks for the time, but the component
// itself answers that.
package runtime

import (
	"runtime"
	"unsafe"
)

const (
	// Words of a block from which small pieces are cut.
	blockWords = 2048
	// Words from which on a piece is a block of its own.
	largeWords = 256
)

var (
	// Every block that the host may hold an address in. They hold no Go pointers, so the collector does not look into them.
	held [][]uint64
	// What is left of the block at hand.
	rest []uint64
)

// Allocate is memory that stays until Unpin: all zero, aligned to 8 bytes, which is enough for every type of the contract. No
// bytes are nil.
func Allocate(_ *runtime.Pinner, size, _ uintptr) unsafe.Pointer {
	words := (size + 7) / 8
	switch {
	case words == 0:
		return nil
	case words >= largeWords:
		block := make([]uint64, words)
		held = append(held, block)
		return unsafe.Pointer(unsafe.SliceData(block))
	case words > uintptr(len(rest)):
		rest = make([]uint64, blockWords)
		held = append(held, rest)
	}
	piece := rest[:words]
	rest = rest[words:]
	return unsafe.Pointer(unsafe.SliceData(piece))
}

// Unpin lets go of everything.
func Unpin() {
	clear(held)
	held, rest = held[:0], nil
}

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	pointer := Allocate(nil, uintptr(size), uintptr(align))
	if kept := min(oldSize, size); kept != 0 {
		copy(unsafe.Slice((*byte)(pointer), kept), unsafe.Slice((*byte)(old), kept))
	}
	return pointer
}
