package main

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// byteSize is the value of a flag, in bytes, written as 2GiB or 2GB.
type byteSize int64

// units are those that people write: powers of 1024, and powers of 1000 as on the
// package of a card. One letter means the former, as in many programs.
var units = []struct {
	name  string
	bytes int64
}{
	{"TiB", 1 << 40}, {"TB", 1e12}, {"T", 1 << 40},
	{"GiB", 1 << 30}, {"GB", 1e9}, {"G", 1 << 30},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"M", 1 << 20},
	{"KiB", 1 << 10}, {"kB", 1e3}, {"K", 1 << 10},
}

func (b *byteSize) String() string {
	for _, u := range units {
		if n := int64(*b); n > 0 && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

var errSize = errors.New("a size is a number of bytes, or as 2GiB, 1500MiB, 2GB or 1.5GB")

// Set reads a number, which may have a fraction if it has a unit. With one it is
// rounded down to whole sectors, of which people do not think.
func (b *byteSize) Set(s string) error {
	number, factor := strings.ToLower(strings.TrimSpace(s)), int64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, strings.ToLower(u.name)); ok {
			number, factor = strings.TrimSpace(n), u.bytes
			break
		}
	}
	if number == "" || strings.Trim(number, "0123456789.") != "" || len(number) > 20 || factor == 1 && strings.Contains(number, ".") {
		return errSize
	}
	n, ok := new(big.Rat).SetString(number)
	if !ok {
		return errSize
	}
	n.Mul(n, new(big.Rat).SetInt64(factor))
	bytes := new(big.Int).Quo(n.Num(), n.Denom())
	if !bytes.IsInt64() {
		return errors.New("that is more than there can be")
	}
	*b = byteSize(bytes.Int64())
	if factor != 1 {
		*b -= *b % sector
	}
	return nil
}

const sector = 512 // bytes
