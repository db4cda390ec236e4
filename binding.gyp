{
  'variables': {
    'sanitize%': 0,
    'fuzz%': 0,
  },
  'targets': [
    {
      'target_name': 'fake_tcp',
      'sources': [
        'native/addon.cc',
        'native/checksum.cc',
        'native/coverage.cc',
        'native/environment.cc',
        'native/event.cc',
        'native/features.cc',
        'native/link.cc',
        'native/memory.cc',
        'native/packet_io.cc',
        'native/poller.cc',
        'native/process.cc',
        'native/segments.cc',
        'native/steering.cc',
        'native/flood_filter.cc',
        'native/tun.cc',
        'native/udp.cc',
        'native/udp_messages.cc',
      ],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'defines': ['NAPI_VERSION=8', 'NAPI_DISABLE_CPP_EXCEPTIONS'],
      'cflags': ['-Wall', '-Wextra', '-fvisibility=hidden'],
      'cflags_cc': ['-std=c++20', '-O3'],
      'conditions': [
        ['sanitize==1', {
          'cflags': ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined', '-fno-omit-frame-pointer', '-g'],
          'ldflags': ['-fsanitize=address,undefined'],
        }],
        ['sanitize==1 and fuzz==1', {
          'defines': ['FAKE_TCP_COVERAGE'],
          'cflags': ['-fsanitize-coverage=inline-8bit-counters'],
          'ldflags': ['-shared-libsan'],
        }],
      ],
    },
  ],
}
