// Package keytree holds keys in their order, that of their bytes, for the index of package
// kv: a B+tree whose leaves have no pointers, so that millions of keys are a few thousand
// objects for the garbage collector. It knows no values.
//
//	t := keytree.New()
//	t.Insert("user:1")
//	view := t.View()
//	n := view.Ascend(&keytree.Start{}, room) // the first items
//
// A [Tree] has no lock: one writer at a time, and no reader of [Tree.View] meanwhile. A
// view of [Tree.Freeze] stays as it is until it is released, and is read without a lock.
// What is returned of a long key is memory that never changes: whoever holds the [Slabs]
// of a view may read all items that the view has returned, whatever becomes of the tree.
//
// The files, in the order in which to read them: item.go (what a key is), slabs.go (where
// long ones are), tree.go (insertion and frozen views), remove.go, view.go (reading),
// build.go (a tree of keys that are sorted already), verify.go.
package keytree
