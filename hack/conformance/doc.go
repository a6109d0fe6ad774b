// Package conformance holds no code but tests: they start the real pushcam
// program and look at it with the real programs that people use. Each test says
// which of their quirks it covers.
//
// A program that is missing fails its test when CI is set, and skips it
// elsewhere.
package conformance
