"""The once-for-all search spaces and their super-networks: MobileNetV3, ProxylessNAS, ResNet-50."""
