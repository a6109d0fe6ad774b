// Package conformance holds no code but tests: they start the real pushcam
// program and look at it with the real programs that people use. Each test says
// which of their quirks it covers.
//
// Large, slow and rare programs are tried only when PUSHCAM_CONFORMANCE is all,
// as hack/conformance/all does it, which writes README.md's table.
//
// A program that is missing fails its test when CI is set, and skips it
// elsewhere.
package conformance
