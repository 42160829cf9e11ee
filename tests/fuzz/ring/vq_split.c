// SPDX-License-Identifier: BSD-3-Clause
#include "tests/fuzz/ring/vq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_vq(data, size, false);
}
