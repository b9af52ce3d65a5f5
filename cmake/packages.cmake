# Libraries of the system, as imported targets PkgConfig::UV, ::CURL, ::PROTOBUF_C, ::JANSSON, ::SQLITE, ::XXHASH,
# ::OPENSSL, ::CMOCKA. The Debian packages that carry them are listed in tools/packages.txt.

find_package(PkgConfig REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c>=1.4)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.14)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
if(DISPATCH_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka>=1.1.5)
endif()
