window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  showStudyList: true,
  defaultDataSourceName: 'dicomweb',
  oidc: [
    {
      authority: 'https://login.example.org/realms/imaging', // the issuer of dimsegate.yaml, letter by letter
      client_id: 'viewer', // a public client there; its redirect URI is https://viewer.example.org/callback
      response_type: 'code',
      scope: 'openid offline_access dicom.search dicom.retrieve', // dicom.store for uploads
      post_logout_redirect_uri: '/signed-out',
      revokeAccessTokenOnSignout: false,
    },
  ],
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'Dimsegate',
        qidoRoot: '/dicomweb',
        wadoRoot: '/dicomweb',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsWildcard: true,
        bulkDataURI: { enabled: true },
      },
    },
  ],
}
