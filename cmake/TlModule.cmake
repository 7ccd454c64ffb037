# One folder, one target. A module lists its sources by name (no globbing) and
# may depend only on the modules it names; the test "layers" checks the includes.
#
#   tl_module(numerics SOURCES mat.c gemm.c DEPENDS base LINKS PkgConfig::OPENBLAS)
#   tl_test(numerics gemm)           tests/numerics/gemm_test.c with tl_numerics
#   tl_bench(gemm DEPENDS numerics)  bench/bench_gemm.c

find_package(PkgConfig REQUIRED)

add_library(tl_flags INTERFACE)
target_compile_features(tl_flags INTERFACE c_std_17)
target_compile_definitions(tl_flags INTERFACE _POSIX_C_SOURCE=200809L)
target_compile_options(tl_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wdouble-promotion -Wcast-qual -Wformat=2
  -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wvla -Wwrite-strings
  $<$<BOOL:${TL_WERROR}>:-Werror>)
target_include_directories(tl_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
if(TL_SANITIZE)
  target_compile_options(tl_flags INTERFACE -fsanitize=${TL_SANITIZE} -fno-sanitize-recover=all
                                            -fno-omit-frame-pointer)
  target_link_options(tl_flags INTERFACE -fsanitize=${TL_SANITIZE})
endif()

function(tl_module name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS;LINKS" ${ARGN})
  add_library(tl_${name} STATIC ${arg_SOURCES})
  list(TRANSFORM arg_DEPENDS PREPEND tl_)
  target_link_libraries(tl_${name} PUBLIC tl_flags ${arg_DEPENDS} PRIVATE ${arg_LINKS})
endfunction()

# Ends a test that hangs, and none that waits for processors which others use. A sanitizer slows a
# test several times over.
set(timeout_s 600)
if(TL_SANITIZE)
  set(timeout_s 2400)
endif()

# tl_test(MODULE NAME [THREADS] [DEFINES ...]): tests/MODULE/NAME_test.c, linked to its own
# folder's library and tests/support only. A dash in the folder is _ in the target.
# THREADS: what is tested runs in threads, so that the thread sanitizer is worth its time (the
# label "threads": scripts/check).
function(tl_test module name)
  cmake_parse_arguments(arg "THREADS" "" "DEFINES" ${ARGN})
  string(REPLACE "-" "_" library ${module})
  set(target ${library}_${name}_test)
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/${module}/${name}_test.c)
  target_link_libraries(${target} PRIVATE tl_${library} tl_test_support)
  target_compile_definitions(${target} PRIVATE ${arg_DEFINES})
  add_test(NAME ${module}.${name} COMMAND ${target})
  set(labels ${module})
  if(arg_THREADS)
    list(APPEND labels threads)
  endif()
  set_tests_properties(${module}.${name} PROPERTIES TIMEOUT ${timeout_s} LABELS "${labels}"
                       SKIP_REGULAR_EXPRESSION "^SKIPPED FILE")
endfunction()

function(tl_bench name)
  cmake_parse_arguments(arg "" "" "DEPENDS" ${ARGN})
  list(TRANSFORM arg_DEPENDS PREPEND tl_)
  add_executable(bench_${name} ${PROJECT_SOURCE_DIR}/bench/bench_${name}.c)
  target_link_libraries(bench_${name} PRIVATE ${arg_DEPENDS})
endfunction()
