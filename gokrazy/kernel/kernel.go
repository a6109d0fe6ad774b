// Package kernel is pushcam's kernel for gokrazy: the files beside this one.
// README.md says what it is and how it is built.
package kernel
