# What `make install` puts where: libraries, headers, a pkg-config file and a CMake package (find_package(dispatchrun)).
include(CMakePackageConfigHelpers)

install(TARGETS dispatchrun EXPORT dispatchrun LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_ARCHIVE_OUTPUT_DIRECTORY}/libdispatchrun.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/include/dispatchrun.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/dispatchrun DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

configure_file(${CMAKE_SOURCE_DIR}/cmake/dispatchrun.pc.in ${CMAKE_BINARY_DIR}/dispatchrun.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/dispatchrun.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(EXPORT dispatchrun NAMESPACE dispatchrun:: FILE dispatchrun-targets.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/dispatchrun)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/dispatchrun-config.cmake.in
    ${CMAKE_BINARY_DIR}/dispatchrun-config.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/dispatchrun
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/dispatchrun-config-version.cmake
    VERSION ${PROJECT_VERSION} COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/dispatchrun-config.cmake ${CMAKE_BINARY_DIR}/dispatchrun-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/dispatchrun)
