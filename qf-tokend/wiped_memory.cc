// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/wiped_memory.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "libqf/log.h"

namespace {

void wipe_and_free(void* memory) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

// realloc(3) may leave the old bytes where they were.
void* move_and_wipe(void* memory, size_t size) {
  if (memory == nullptr) return std::malloc(size);
  if (size == 0) {
    wipe_and_free(memory);
    return nullptr;
  }
  void* moved = std::malloc(size);
  if (moved == nullptr) return nullptr;
  ::memcpy(moved, memory, std::min(size, ::malloc_usable_size(memory)));
  wipe_and_free(memory);
  return moved;
}

}  // namespace

// The sanitizers have allocators of their own.
#ifndef QF_SANITIZED
void* operator new(size_t size) {
  void* memory = std::malloc(std::max<size_t>(size, 1));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  wipe_and_free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  wipe_and_free(memory);
}
#endif

namespace qf {

void wipe_all_memory() {
  cJSON_Hooks hooks = {std::malloc, wipe_and_free};
  ::cJSON_InitHooks(&hooks);
  // before libcurl, which starts OpenSSL: it takes them only as long as it has allocated nothing
  int taken = ::CRYPTO_set_mem_functions(
      [](size_t size, const char*, int) { return std::malloc(size); },
      [](void* memory, size_t size, const char*, int) { return move_and_wipe(memory, size); },
      [](void* memory, const char*, int) { wipe_and_free(memory); });
  if (taken != 1) log_warning("OpenSSL does not take our memory functions: what it frees is not wiped");
  ::curl_global_init_mem(CURL_GLOBAL_DEFAULT, std::malloc, wipe_and_free, move_and_wipe, ::strdup,
                         std::calloc);
}

}  // namespace qf
