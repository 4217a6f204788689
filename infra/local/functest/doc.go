// Package functest tests what people do with the func CLI, with the CLI itself,
// unmodified: build, push, run and invoke every function.
//
//	make test-func                              every function
//	make test-func FUNCTION=inventory-update    one
//
// It works on a copy of the project, as it would be after a fresh clone, with
// nothing in the environment. The copy is always made in the same place, since
// Go's build cache knows packages by where they are.
package functest
